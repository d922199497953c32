"""Lay windows over a project's sessions and label them."""

from __future__ import annotations

import math
from collections.abc import Callable

import polars as pl

from consilience.annotation.collected import collected_annotations
from consilience.annotation.evaluators import CONTRARY
from consilience.annotation.label_consensus import Labelling, label_windows
from consilience.core.files import atomic_folder, read_json, write_json
from consilience.core.wording import counted
from consilience.project import Project
from consilience.schema.constants import AFFECT, SELF_REPORT
from consilience.schema.params.annotation import AnnotationParams
from consilience.schema.params.windows import WindowParams
from consilience.schema.tables import (
    LABELLED,
    Alignment,
    Annotations,
    Annotators,
    Confusions,
    Labels,
    Recordings,
    Trials,
    read_table,
    write_table,
)
from consilience.windows.layout import lay_windows


def label(project: Project, emit: Callable[[str], None] = print) -> None:
    """Lay windows over the sessions, label them and write ``data/labels``.

    Parameters
    ----------
    project : Project
        Cataloged and aligned.
    emit : callable
        Receives the lines of the summary.
    """
    classes = tuple(read_json(project.catalog / "dataset.json")["classes"])
    annotations = read_table(project.catalog / "annotations.parquet", Annotations)
    collected = collected_annotations(project, classes)
    if collected.height:
        n_annotators = collected["annotator"].n_unique()
        emit(
            f"label: {counted(collected.height, 'annotation')} collected from "
            f"{counted(n_annotators, 'annotator')}"
        )
        annotations = pl.concat([annotations, collected])
    table, labelling = build_labels(project, annotations, classes, emit)
    with atomic_folder(project.labels) as folder:
        write_table(folder / "labels.parquet", table, Labels)
        write_table(folder / "annotators.parquet", labelling.annotators, Annotators)
        write_table(folder / "confusions.parquet", labelling.confusions, Confusions)
        write_json(folder / "summary.json", _summary(table, labelling, annotations, classes))
    for name, target, reliability in _contrary(labelling.annotators):
        emit(
            f"label: annotator '{name}' contradicts the others on {target} (reliability "
            f"{reliability:.2f}): check whether the scale is turned round"
        )
    emit(f"label: {counted(table.height, 'window')}, {table.filter(LABELLED).height} labelled")


def _contrary(annotators: pl.DataFrame) -> list[tuple[str, str, float]]:
    """Return name, target and reliability of the annotators who contradict the others' ratings."""
    contrary = annotators.filter(pl.col("target").is_in(AFFECT), pl.col("reliability") <= CONTRARY)
    return contrary.select("annotator", "target", "reliability").rows()


def build_labels(
    project: Project,
    annotations: pl.DataFrame,
    classes: tuple[str, ...],
    emit: Callable[[str], None],
) -> tuple[pl.DataFrame, Labelling]:
    """Return table `Labels` of all windows of all sessions with an aligned recording."""
    trials = read_table(project.catalog / "trials.parquet", Trials)
    subjects, recorded_s = _sessions(project)
    trials = trials.filter(pl.col("session").is_in(list(subjects)))
    windows = lay_windows(trials, recorded_s, project.section(WindowParams))
    for session in sorted(set(subjects) - {window.session for window in windows}):
        emit(f"label: session {session} has no trial as long as a window")
    labelling = label_windows(
        annotations, windows, trials, classes, project.section(AnnotationParams)
    )
    rows = [(w.name, w.session, subjects[w.session], w.trial, w.start_s, w.end_s) for w in windows]
    texts = dict.fromkeys(("window", "session", "subject", "trial"), pl.String)
    times = dict.fromkeys(("start_s", "end_s"), pl.Float64)
    layout = pl.DataFrame(rows, {**texts, **times}, orient="row")
    return pl.concat([layout, labelling.labels], how="horizontal"), labelling


def _sessions(project: Project) -> tuple[dict[str, str], dict[str, float]]:
    """Return the subjects of sessions with a clock, and when their longest recordings end.

    The end is infinite if no recording of the session has a time axis.
    """
    subjects: dict[str, str] = {}
    ends_s: dict[str, float] = {}
    aligned = read_table(project.alignment / "alignment.parquet", Alignment).filter(
        pl.col("status") == "aligned"
    )
    for (modality,), fits in aligned.group_by("modality", maintain_order=True):
        catalog = read_table(project.recordings_table(str(modality)), Recordings)
        subject_ends = fits.join(catalog.select("recording", "subject"), on="recording")
        for session, subject, end_s in subject_ends.select(
            "session", "subject", "end_s"
        ).iter_rows():
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
        "contrary_annotators": [f"{name}: {of}" for name, of, _ in _contrary(labelling.annotators)],
        "self_reports": int(annotations["annotator"].str.starts_with(SELF_REPORT).sum()),
    }
