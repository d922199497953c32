"""Good recordings of every built-in modality, to try it on.

A modality that is not listed provides `examples(folder)` in tests/modalities/test_NAME.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from consilience.core.seeds import generator
from consilience.schema.params.synthesis import SynthesisParams
from consilience.synthesis.corpus import write_corpus
from consilience.synthesis.plan import FILES

Examples = list[tuple[Path, str | None]]
CORPUS = SynthesisParams(
    subjects=2, sessions=1, trials=1, trial_s=3, missing_fraction=0, faulty_fraction=0
)


@lru_cache(maxsize=1)
def corpus(folder: Path) -> Path:
    """Write the demonstration corpus, two short sessions, once a test run."""
    write_corpus(CORPUS, folder / "corpus", folder / "truth")
    return folder / "corpus"


def recorded(modality: str) -> Callable[[Path], Examples]:
    return lambda folder: [(p, None) for p in sorted(corpus(folder).rglob(FILES[modality]))]


def action_units(folder: Path) -> Examples:
    path, rng = folder / "units.csv", generator("units")
    units = [f"AU{number:02d}_{kind}" for number in range(1, 46) for kind in "rc"]
    rows = [[f"clip-{n}", *(f"{v:.3f}" for v in rng.random(len(units)))] for n in range(4)]
    path.write_text("\n".join(",".join(row) for row in [["clip", *units], *rows]) + "\n")
    return [(path, row[0]) for row in rows]


UTTERANCES = (
    ("I am so happy today", "what a joyful day this is", "let us dance", "really great fun"),
    ("nothing works any more", "I feel miserable and alone", "leave me", "it is far too late"),
)


def transcripts(folder: Path) -> Examples:
    paths = []
    for number, utterances in enumerate(UTTERANCES):
        rows = [f"{2 * n},{2 * n + 1.6},{text}" for n, text in enumerate(utterances)]
        path = folder / f"said-{number}.csv"
        path.write_text("\n".join(["start_s,end_s,text", *rows]) + "\n")
        paths.append((path, None))
    return paths


EXAMPLES: dict[str, Callable[[Path], Examples]] = {
    "audio": recorded("audio"),
    "eeg": recorded("eeg"),
    "eeg_signal": recorded("eeg"),
    "face_au": action_units,
    "face_expression": recorded("video"),
    "log_mel": recorded("audio"),
    "lower_face_au": action_units,
    "text": transcripts,
    "upper_face_au": action_units,
    "video": recorded("video"),
    "voice_embedding": recorded("audio"),
}
