from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile

from consilience.core.errors import ConsilienceError
from consilience.datasets.base import Entry
from consilience.datasets.demo import dataset
from consilience.ingest.catalog import build_catalog
from consilience.schema.tables import Annotations, Pulses, Trials

TABLES = {
    "recordings.csv": """subject,session,modality,path,rate_hz
sub-01,sub-01_ses-1,audio,sub-01/ses-1/voice.flac,16000
sub-01,sub-01_ses-1,eeg,sub-01/ses-1/eeg.edf,
""",
    "trials.csv": "session,trial,start_s,end_s\nsub-01_ses-1,t1,4,10\n",
    "pulses.csv": "session,time_s\nsub-01_ses-1,2.5\nsub-01_ses-1,3.25\n",
    "annotations.csv": """session,annotator,target,start_s,end_s,label,value
sub-01_ses-1,rater-1,emotion,4,10,happy,
sub-01_ses-1,rater-1,valence,4,4.25,,0.5
""",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in TABLES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def add(path: Path, line: str) -> None:
    path.write_text(path.read_text() + line + "\n")


def test_lists_entries_and_valid_tables(root: Path) -> None:
    listing = dataset.list(root)
    assert listing.entries == [
        Entry("sub-01_ses-1", "sub-01", "audio", "sub-01/ses-1/voice.flac", None, 16e3, "anchors"),
        Entry("sub-01_ses-1", "sub-01", "eeg", "sub-01/ses-1/eeg.edf", None, None, "anchors"),
    ]
    assert listing.problems == []
    Trials.validate(listing.trials)
    Pulses.validate(listing.pulses)
    Annotations.validate(listing.annotations)
    assert listing.annotations["label"].to_list() == ["happy", None]


def test_folder_without_manifest_is_refused(root: Path) -> None:
    (root / "recordings.csv").unlink()
    with pytest.raises(ConsilienceError, match=r"recordings\.csv: the table is missing"):
        dataset.list(root)


@pytest.mark.parametrize("text", ["", "subject,session\na,b\n", '"a\n'])
def test_unusable_manifest_is_refused_in_one_line(root: Path, text: str) -> None:
    (root / "recordings.csv").write_text(text)
    with pytest.raises(ConsilienceError) as caught:
        dataset.list(root)
    assert "recordings.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["trials.csv", "pulses.csv", "annotations.csv"])
def test_an_unusable_table_is_reported_and_read_as_empty(root: Path, name: str) -> None:
    for text in (None, "", "nonsense\n1\n"):
        (root / name).unlink(missing_ok=True)
        if text is not None:
            (root / name).write_text(text)
        listing = dataset.list(root)
        assert [where for where, _, _ in listing.problems] == [name]
        table: pl.DataFrame = getattr(listing, name.removesuffix(".csv"))
        assert table.height == 0


def test_invalid_rows_are_reported_and_the_others_kept(root: Path) -> None:
    bad = [
        ("recordings.csv", ",sub-02_ses-1,eeg,x.edf,", "subject is empty"),
        ("recordings.csv", "sub-02,sub-02_ses-1,smell,x.edf,", "unknown modality 'smell'"),
        ("recordings.csv", "sub-02,sub-02_ses-1,eeg,x.edf,fast", "rate_hz 'fast'"),
        ("trials.csv", "sub-01_ses-1,t2,12,11", "end_s is not after start_s"),
        ("trials.csv", "sub-01_ses-1,t3,soon,11", "not a number"),
        ("pulses.csv", "sub-01_ses-1,nan", "not a number"),
        ("annotations.csv", "sub-01_ses-1,rater-1,emotion,4,10,joyful,", "joyful"),
        ("annotations.csv", "sub-01_ses-1,rater-1,valence,4,10,,", "value is not a number"),
        ("annotations.csv", "sub-01_ses-1,rater-1,dominance,4,10,,0.5", "dominance"),
    ]
    good = dataset.list(root)
    for name, line, reason in bad:
        before = (root / name).read_text()
        add(root / name, line)
        listing = dataset.list(root)
        assert len(listing.problems) == 1, line
        where, what, _ = listing.problems[0]
        assert where.startswith(name)
        assert reason in what
        for table in ("trials", "pulses", "annotations"):
            assert getattr(listing, table).equals(getattr(good, table))
        (root / name).write_text(before)


def test_a_file_missing_from_the_manifest_is_reported(root: Path) -> None:
    for name in ("sub-01/ses-1/eeg.edf", "sub-09/ses-1/eeg.EDF"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    what = "1 recording is not listed and not used, such as sub-09/ses-1/eeg.EDF"
    assert dataset.list(root).notes == [("recordings.csv", what)]


def test_the_catalog_reports_annotations_without_a_recording(root: Path) -> None:
    (root / "sub-01/ses-1").mkdir(parents=True)
    noise = np.random.default_rng(0).normal(0, 0.1, 16000)
    soundfile.write(root / "sub-01/ses-1/voice.flac", noise, 16000)
    add(root / "annotations.csv", "nobody,rater-1,emotion,4,10,happy,")
    catalog = build_catalog(dataset, root, ["audio"])
    assert any("'nobody'" in row["what"] for row in catalog.problems.rows(named=True))
    assert catalog.annotations["session"].unique().to_list() == ["sub-01_ses-1"]
    assert catalog.recordings["audio"]["status"].to_list() == ["ok"]
