"""The file bench.yaml, and changes of parameters."""

from __future__ import annotations

from pathlib import Path

import pytest

from consilience.bench.settings import HEADING, METHODS, Corpus, Settings, changed, read, write
from consilience.core.errors import ConsilienceError

CORPUS = Corpus(dataset="eegmat", root="eegmat", modalities=("eeg",), params={"splits": {"a": 1}})
SETTINGS = Settings(methods=METHODS, corpora={"one": CORPUS}, left_out={"two": "empty"})


def test_what_is_written_can_be_read_and_edited(tmp_path: Path) -> None:
    write(tmp_path, SETTINGS)
    assert read(tmp_path) == SETTINGS
    path = tmp_path / "bench.yaml"
    text = path.read_text()
    assert text.startswith(HEADING)
    assert "modalities: [eeg]" in text
    path.write_text(text.replace("\nparams: {}", "\nparams: {training: {epochs: 2}}"))
    corpus = read(tmp_path).complete("one", tmp_path)
    assert corpus.params == {"training": {"epochs": 2}, "splits": {"a": 1}}
    assert corpus.methods == METHODS
    assert corpus.root == str(tmp_path / "eegmat")


def test_a_parameter_is_replaced_as_a_whole_and_others_stay() -> None:
    content = {
        "training": {"epochs": 20, "width": 64},
        "modalities": {"eeg": {"mains_hz": 50, "bands_hz": {"delta": [1, 4], "theta": [4, 8]}}},
    }
    changes = {
        "training": {"epochs": 2},
        "modalities": {"eeg": {"bands_hz": {"delta": [1, 4]}}},
        "methods": {"kd": None},
    }
    assert changed(content, changes) == {
        "training": {"epochs": 2, "width": 64},
        "modalities": {"eeg": {"mains_hz": 50, "bands_hz": {"delta": [1, 4]}}},
        "methods": {"kd": {}},
    }
    assert content["training"]["epochs"] == 20


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        ("modalities:", "modalites:", r"unknown parameter corpora\.one\.modalites"),
        ("  one:", "  ../one:", "cannot name a folder"),
        ("  one:", "  .one:", "cannot name a folder"),
        ("[coherence", "[Coherence", "invalid name"),
        ("root: eegmat", "root: [", "not valid YAML"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, before: str, after: str, what: str) -> None:
    write(tmp_path, SETTINGS)
    path = tmp_path / "bench.yaml"
    path.write_text(path.read_text().replace(before, after))
    with pytest.raises(ConsilienceError, match=what):
        read(tmp_path)


def test_without_a_file_the_option_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConsilienceError, match="--data"):
        read(tmp_path)
