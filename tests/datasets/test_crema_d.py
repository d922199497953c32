from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilience.core.errors import ConsilienceError
from consilience.datasets.crema_d import EMOTIONS, dataset
from consilience.ingest.catalog import build_catalog
from consilience.schema.tables import Annotations

CLIP = "1001_DFA_ANG_XX"
VOTES = (
    '"","A","D","F","H","N","S","fileName","numResponses"\n'
    f'"100001",6,2,0,0,1,0,"{CLIP}",9\n'
    f'"200001",5,2,0,0,3,0,"{CLIP}",10\n'
    f'"300001",8,1,0,0,0,0,"{CLIP}",9\n'
    '"100002",1,0,0,0,0,0,"1002_DFA_SAD_XX",1\n'
)


def put(root: Path, *names: str, votes: str = VOTES) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / "tabulatedVotes.csv").write_text(votes)
    return root


def test_a_vote_is_an_annotator(tmp_path):
    annotations = dataset.list(put(tmp_path, f"AudioWAV/{CLIP}.wav")).annotations
    Annotations.validate(annotations)
    counts = annotations.with_columns(presentation=pl.col("annotator").str.split("-").list.first())
    voice = counts.filter(pl.col("presentation") == "voice")["label"].to_list()
    assert {name: voice.count(name) for name in set(voice)} == {
        "angry": 6,
        "disgust": 2,
        "neutral": 1,
    }
    assert counts.group_by("presentation").len().sort("presentation").rows() == [
        *(("both", 9), ("face", 10), ("voice", 9)),
    ]
    assert annotations.select("session", "annotator").is_duplicated().sum() == 0


def test_voter_numbers_are_independent_of_the_classes(tmp_path):
    """Dealt in order, 'voice-1' would seem a person who prefers the first class."""
    names = [f"{actor}_DFA_ANG_XX" for actor in range(1001, 1041)]
    rows = "".join(f'"{100001 + i}",5,0,0,0,0,5,"{name}",10\n' for i, name in enumerate(names))
    header = VOTES.splitlines()[0]
    put(tmp_path, *(f"{name}.wav" for name in names), votes=f"{header}\n{rows}")
    first = dataset.list(tmp_path).annotations.filter(pl.col("annotator") == "voice-1")["label"]
    assert 8 < (first == "angry").sum() < 32
    again = dataset.list(tmp_path).annotations.filter(pl.col("annotator") == "voice-1")["label"]
    assert again.to_list() == first.to_list()


def test_the_least_compressed_sound_is_used(tmp_path):
    put(tmp_path, f"a/{CLIP}.wav", f"b/{CLIP}.mp3", f"c/{CLIP}.flv")
    files = {entry.modality: entry.path for entry in dataset.list(tmp_path).entries}
    assert files == {
        "audio": f"a/{CLIP}.wav",
        "voice_embedding": f"a/{CLIP}.wav",
        "video": f"c/{CLIP}.flv",
    }


@pytest.mark.parametrize(
    ("name", "votes", "what"),
    [
        ("notes.wav", VOTES, "not a CREMA-D file name"),
        (f"again/{CLIP}.wav", VOTES, "duplicate of"),
        ("1091_WSI_SAD_XX.wav", VOTES, "no votes on it"),
        (f"{CLIP}.wav", VOTES.replace('"",', '"row",'), "no column"),
        (f"{CLIP}.wav", VOTES.replace("6,2", "-6,2"), "numbers of votes are invalid"),
        (f"{CLIP}.wav", VOTES.replace("6,2", "9999999999,2"), "numbers of votes are invalid"),
        (f"{CLIP}.wav", VOTES.replace('"100001"', '"900001"'), "numbers of votes are invalid"),
        (f"{CLIP}.wav", VOTES.replace('"200001"', '"100009"'), "duplicate votes"),
    ],
)
def test_problems_are_reported(tmp_path, name, votes, what):
    problems = dataset.list(put(tmp_path, f"{CLIP}.wav", name, votes=votes)).problems
    assert len(problems) == 1
    assert what in problems[0][1]
    assert problems[0][2]


def test_missing_votes_are_reported(tmp_path):
    (tmp_path / f"{CLIP}.wav").touch()
    listing = dataset.list(tmp_path)
    assert listing.annotations.is_empty()
    assert "nothing is labelled" in listing.problems[0][2]


def test_a_decompression_bomb_is_refused(tmp_path):
    (tmp_path / f"{CLIP}.wav").touch()
    with gzip.open(tmp_path / "tabulatedVotes.csv.gz", "wb", 9) as file:
        file.write(VOTES.encode())
        for _ in range(64):
            file.write(b"0" * 2**20)
    listing = dataset.list(tmp_path)
    assert listing.annotations.is_empty()
    assert len(listing.problems) == 1


def test_a_folder_without_clips_is_an_error_with_an_example(tmp_path):
    with pytest.raises(ConsilienceError, match="1001_DFA_ANG_XX"):
        dataset.list(tmp_path)


@pytest.mark.real_data
def test_the_real_clips_and_votes(real_data):
    root = real_data / "crema_d"
    catalog = build_catalog(dataset, root)
    assert {name: t["status"].to_list() for name, t in catalog.recordings.items()} == {
        "audio": ["ok"] * 5,
        "voice_embedding": ["ok"] * 5,
        "video": ["ok"] * 3,
    }
    assert catalog.problems.is_empty()
    assert set(catalog.classes) == set(EMOTIONS.values())
    votes = pl.read_csv(root / "tabulatedVotes.csv.gz", infer_schema=False)
    listed = votes.filter(
        pl.col("fileName").is_in(catalog.recordings["audio"]["session"].to_list())
    )
    assert catalog.annotations.height == listed["numResponses"].cast(int).sum()


cells = st.integers(-3, 10**12).map(str) | st.sampled_from(
    [CLIP, "1e3", "nan", "", '"', "\0", "angry", "100001", "300001"]
)


@given(
    rows=st.lists(st.lists(cells, min_size=7, max_size=9), max_size=5), tail=st.binary(max_size=20)
)
def test_any_votes_keep_the_contract(tmp_path_factory, rows, tail):
    root = tmp_path_factory.mktemp("votes")
    (root / f"{CLIP}.wav").touch()
    header = VOTES.splitlines()[0]
    text = "\n".join([header, *(",".join([*row[:7], CLIP, *row[7:]]) for row in rows)])
    (root / "tabulatedVotes.csv").write_bytes(text.encode() + b"\n" + tail)
    listing = dataset.list(root)
    annotations = Annotations.validate(listing.annotations)
    assert set(annotations["label"]) <= set(EMOTIONS.values())
    assert len(listing.entries) == 2
    assert annotations.height or listing.problems
