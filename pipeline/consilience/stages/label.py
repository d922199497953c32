"""Stage ``label``: ``python -m consilience.stages.label``."""

from __future__ import annotations

import json
import math
from pathlib import Path

import polars as pl

from consilience import params, stages
from consilience.annotation.label_consensus import Labelling, label_windows
from consilience.annotation.ratings import SELF_REPORT
from consilience.core.files import atomic_folder, write_json
from consilience.params import Params
from consilience.schema.tables import (
    LABELLED,
    Alignment,
    Annotations,
    Annotators,
    Confusions,
    Labels,
    Recordings,
    Trials,
    frame_of,
    read_table,
    write_table,
)
from consilience.windows.layout import lay_windows

CATALOG = Path("data/catalog")
ALIGNMENT = Path("data/alignment/alignment.parquet")
OUTPUT = Path("data/labels")


def main() -> None:
    """Lay windows over the sessions and label them."""
    settings = params.load()
    classes = tuple(json.loads((CATALOG / "dataset.json").read_text())["classes"])
    annotations = read_table(CATALOG / "annotations.parquet", Annotations)
    table, labelling = build_labels(annotations, classes, settings)
    with atomic_folder(OUTPUT) as folder:
        write_table(folder / "labels.parquet", table, Labels)
        write_table(folder / "annotators.parquet", labelling.annotators, Annotators)
        write_table(folder / "confusions.parquet", labelling.confusions, Confusions)
        write_json(folder / "summary.json", _summary(table, labelling, annotations, classes))
    print(f"label: {table.height} windows, {table.filter(LABELLED).height} labelled")


def build_labels(
    annotations: pl.DataFrame, classes: tuple[str, ...], settings: Params
) -> tuple[pl.DataFrame, Labelling]:
    """Return table `Labels` of all windows of all sessions with an aligned recording."""
    trials = read_table(CATALOG / "trials.parquet", Trials)
    subjects, recorded_s = _sessions()
    trials = trials.filter(pl.col("session").is_in(list(subjects)))
    windows = lay_windows(trials, recorded_s, settings.windows)
    for session in sorted(set(subjects) - {window.session for window in windows}):
        print(f"label: session {session} has no trial as long as a window")
    labelling = label_windows(annotations, windows, trials, classes, settings.annotation)
    rows: list[dict[str, object]] = [
        {
            "window": window.name,
            "session": window.session,
            "subject": subjects[window.session],
            "trial": window.trial,
            "start_s": window.start_s,
            "end_s": window.end_s,
            **vars(label),
        }
        for window, label in zip(windows, labelling.labels, strict=True)
    ]
    return frame_of(rows, Labels), labelling


def _sessions() -> tuple[dict[str, str], dict[str, float]]:
    """Return the subjects of sessions with a clock, and when their longest recordings end.

    The end is infinite if no recording of the session has a time axis.
    """
    subjects: dict[str, str] = {}
    ends_s: dict[str, float] = {}
    aligned = read_table(ALIGNMENT, Alignment).filter(pl.col("status") == "aligned")
    for (modality,), part in aligned.group_by("modality", maintain_order=True):
        catalog = read_table(CATALOG / "recordings" / f"{modality}.parquet", Recordings)
        known = part.join(catalog.select("recording", "subject"), on="recording")
        for session, subject, end_s in known.select("session", "subject", "end_s").iter_rows():
            subjects[session] = subject
            if end_s is not None:
                ends_s[session] = max(end_s, ends_s.get(session, 0.0))
    return subjects, {session: ends_s.get(session, math.inf) for session in subjects}


def _summary(
    table: pl.DataFrame,
    labelling: Labelling,
    annotations: pl.DataFrame,
    classes: tuple[str, ...],
) -> dict[str, object]:
    likeliest = table["class_probability"].drop_nulls().list.arg_max()
    return {
        "windows": table.height,
        "labelled": table.filter(LABELLED).height,
        "classes": {name: int((likeliest == index).sum()) for index, name in enumerate(classes)},
        "mean_agreement": table["agreement"].mean(),
        "agreement": labelling.agreement,
        "contradicted": int(table["contradicted"].sum()),
        "annotators": annotations["annotator"].n_unique(),
        "self_reports": int(annotations["annotator"].str.starts_with(SELF_REPORT).sum()),
    }


if __name__ == "__main__":
    stages.run(main)
