from __future__ import annotations

import edfio
import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consilience import params
from consilience.core import registry
from consilience.core.errors import ConsilienceError
from consilience.core.seeds import generator
from consilience.ingest.check import check
from consilience.modalities.eeg import modality
from consilience.modalities.params.eeg import EegParams
from consilience.readers.sample_times import true_times
from consilience.schema.tables import Annotations, Trials
from consilience.windows.splits import split
from tests.packet_counters import counting

dataset = registry.get("datasets", "dasps")
CHANNELS = dataset.preset["modalities"]["eeg"]["channels"]
HEADER = "file,subject,situation,phase,onset_s,duration_s,valence,arousal,match_r\n"
RATE_HZ = 128


def write(path, counter, contact=(), seed=0):
    """Write what the headset writes: channels, contact qualities, the packet counter."""
    n_samples = len(counter)
    brain = 20 * generator("dasps", seed).standard_normal((len(CHANNELS), n_samples))
    contact = {name: np.full(n_samples, 4.0) for name in CHANNELS} | dict(contact)

    def line(label, values, high=500.0):
        return edfio.EdfSignal(
            np.asarray(values, float),
            RATE_HZ,
            label=label,
            physical_dimension="uV",
            physical_range=(-high, high),
        )

    signals = [line("COUNTER", counter)]
    signals += [line(name, row) for name, row in zip(CHANNELS, brain, strict=True)]
    signals += [line(f"CQ_{name}", values) for name, values in contact.items()]
    edfio.Edf(signals, data_record_duration=1).write(path)


def test_lost_packets_and_bad_contacts_become_missing_frames(tmp_path):
    loose = np.full(60 * RATE_HZ, 4.0)
    loose[: 26 * RATE_HZ] = 2
    counter = counting(60 * RATE_HZ, losses=((3750, 64),))
    write(tmp_path / "S01.edf", counter, {"T7": loose})
    settings_ = EegParams(channels=CHANNELS)
    signal = modality.read(tmp_path / "S01.edf", None, settings_)
    features = modality.features(signal, settings_)
    assert signal.times_s[-1] == pytest.approx(60 + 0.5 - 1 / RATE_HZ)
    assert np.isnan(signal.values[:, CHANNELS.index("T7")]).mean() == pytest.approx(26 / 60)
    gone = features.times_s[np.isnan(features.values).all(axis=1)]
    assert gone.min() > 3750 / RATE_HZ - 0.6
    assert gone.max() < 3750 / RATE_HZ + 1.1
    assert features.quality["packet_losses"] == 1
    assert features.quality["packet_loss_fraction"] == pytest.approx(0.5 / 60.5, rel=0.01)
    assert features.quality["contact_bad_fraction"] == pytest.approx(26 / 60 / 14, rel=0.01)
    assert features.quality["bad_channel_fraction"] == pytest.approx(1 / 14)
    assert modality.inspect(tmp_path / "S01.edf", None) == [
        "packet losses: 1 counter jump; 64 samples (0.8 %) missing in 1 gap, 0 are repeated",
        "contact bad on T7 43 % of the time",
    ]


def folder(root, rows):
    root.mkdir(exist_ok=True)
    (root / "events.csv").write_text(HEADER + "\n".join(rows) + "\n")
    return root


def test_epochs_ratings_and_subjects_are_listed(tmp_path):
    rows = ["S01.edf,S01,1,recitation,0.0,15,1,8,0.7", "S01.edf,S01,1,recall,15.0,15,1,5,0.7"]
    write(folder(tmp_path, rows) / "S01.edf", counting(40 * RATE_HZ))
    listing = dataset.list(tmp_path)
    assert [(e.session, e.subject, e.path) for e in listing.entries] == [("S01", "S01", "S01.edf")]
    assert Trials.validate(listing.trials)["trial"].to_list() == ["1-recitation", "1-recall"]
    annotations = Annotations.validate(listing.annotations)
    assert set(annotations["annotator"]) == {"self"}
    by_target = {
        target: rows["label" if target == "emotion" else "value"].to_list()
        for (target,), rows in annotations.group_by("target", maintain_order=True)
    }
    assert by_target == {
        "emotion": ["aroused", "calm"],
        "valence": [-1.0, -1.0],
        "arousal": [0.75, 0.0],
    }
    assert not listing.problems


def test_onsets_are_moved_by_the_samples_lost_before(tmp_path):
    path = tmp_path / "S01.edf"
    write(path, counting(40 * RATE_HZ, losses=((10 * RATE_HZ, 64),)))
    assert true_times(path, np.array([0.0, 5.0, 20.0])) == pytest.approx([0, 5, 20.5])
    assert true_times(tmp_path / "none.edf", np.array([3.0])).tolist() == [3.0]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("../S02.edf,S02,1,recall,0,15,1,8,1", "not a name in this folder"),
        ("S02.edf,S02,1,recall,0,15,1,10,1", "not a number from 1 to 9"),
        ("S02.edf,S02,1,recall,0,15,x,8,1", "not a number from 1 to 9"),
        ("S02.edf,S02,1,recall,nan,15,1,8,1", "end_s is not after"),
        ("S02.edf,S02,1,recall,0,-15,1,8,1", "end_s is not after"),
        ("S02.edf,S02,1,recall,0,1e9,1,8,1", "more than"),
        (",S02,1,recall,0,15,1,8,1", "a cell is empty"),
        ("S01.edf,S01,1,recall,15,15,1,8,1", "duplicate epoch"),
    ],
)
def test_an_invalid_row_does_not_affect_the_others(tmp_path, row, message):
    good = "S01.edf,S01,1,recall,15,15,1,8,1"
    listing = dataset.list(folder(tmp_path, [good, row]))
    assert listing.trials.height == 1
    assert [message in what for _, what, _ in listing.problems] == [True]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=300))
def test_any_text_is_a_table_or_refused(tmp_path, text):
    (tmp_path / "events.csv").write_bytes((HEADER + text).encode("utf-8", "replace"))
    try:
        dataset.list(tmp_path)
    except ConsilienceError as error:
        assert "\n" not in str(error)  # noqa: PT017


def test_a_recording_without_epochs_is_reported(tmp_path):
    root = folder(tmp_path, ["S01.edf,S01,1,recall,15,15,1,8,1"])
    (root / "S07.edf").touch()
    assert [where for where, _, _ in dataset.list(root).problems] == ["S07.edf"]


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(ConsilienceError, match=r"not a DASPS dataset"):
        dataset.list(tmp_path)


def test_the_preset_is_sufficient():
    content = params.parse(params.defaults("dasps", "somewhere"))
    assert content.annotation.source == "self"
    assert content.modalities["eeg"].channels == CHANNELS
    subjects = [f"S{number:02}" for number in range(1, 18)]
    roles = split(subjects, content.splits).filter(pl.col("role") == "test")
    assert roles.height == content.splits.folds == 17  # leave one subject out


@pytest.mark.real_data
def test_the_real_corpus_and_its_losses(real_data):
    root = real_data / "dasps"
    assert modality.inspect(root / "S01.edf", None)[0].startswith("packet losses: 55 counter jumps")
    assert modality.inspect(root / "S17.edf", None) == []
    assert "contact bad on T7 100 % of the time" in modality.inspect(root / "S03.edf", None)
    listing = dataset.list(root)
    assert (len(listing.entries), listing.trials.height, listing.problems) == (17, 204, [])


@pytest.mark.real_data
@pytest.mark.slow
def test_the_check_reports_the_losses(real_data):
    report = check("dasps", real_data / "dasps")
    report_text = str(report.as_json())
    assert "55 counter jumps" in report_text
    assert "contact bad on P7 28 % of the time" in report_text
