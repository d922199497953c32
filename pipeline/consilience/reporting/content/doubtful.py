"""Results of the stage `query`: labels that are probably wrong, and windows to annotate again."""

from __future__ import annotations

from consilience.project import Project
from consilience.reporting.content.source import from_query
from consilience.reporting.figure import Listing, Note, Section
from consilience.reporting.results import Results
from consilience.reporting.words import ABSENT, percent, readable, readable_text
from consilience.schema.tables import DoubtfulLabels, Ranking

MOST_LISTED = 100


def doubtful(project: Project, results: Results) -> Section | None:
    """Return the doubtful labels with file and second; None without table or labels."""
    table = from_query(project.doubtful_labels, DoubtfulLabels, results)
    labelled = results.predictions.drop_nulls("actual").height
    if table is None or not labelled:
        return None
    listed = [
        (
            *_place(row),
            readable(row["label"]),
            readable(row["predicted"]),
            percent(row["distrust"]),
            "yes" if row["confident_learning"] else "no",
            readable_text(row["reason"], results.meta["modalities"]),
        )
        for row in table.head(MOST_LISTED).iter_rows(named=True)
    ]
    share = percent(table.height / labelled)
    intro = (
        f"Of {labelled} labelled test windows, {table.height} ({share}) have a label that is "
        "probably wrong. Its probability follows from each sensor's prediction by networks that "
        "were trained on other people, without these labels, and from the estimated accuracy of "
        "the labels. A doubtful label may be wrong, or the window unusual: see or hear it. The "
        "column on confident learning states whether that rule, which compares the fused "
        "prediction with the usual one of each class, lists the label too.",
    )
    heads = (
        *("file", "second", "person", "label", "predicted", "probability that it is wrong"),
        *("confident learning", "reason"),
    )
    blocks: list[Listing | Note] = []
    if listed:
        blocks = [Listing("Doubtful labels, the most doubtful first", heads, listed)]
    if table.height > MOST_LISTED:
        blocks.append(Note(f"The {MOST_LISTED} most doubtful are listed."))
    return Section("doubtful-labels", "Doubtful labels", intro, tuple(blocks))


def ranking(project: Project, results: Results) -> Section | None:
    """Return the windows to annotate again with file and second; None without any."""
    table = from_query(project.ranking, Ranking, results)
    if table is None or table.is_empty():
        return None
    listed = [
        (
            str(row["rank"]),
            *_place(row),
            ABSENT if row["label"] is None else readable(row["label"]),
            readable(row["predicted"]),
            percent(row["distrust"]),
            readable_text(row["reason"], results.meta["modalities"]),
        )
        for row in table.head(MOST_LISTED).iter_rows(named=True)
    ]
    heads = (
        *("rank", "file", "second", "person", "label", "predicted"),
        *("probability that the class is wrong", "reason"),
    )
    intro = (
        "Windows of which another annotation is most useful, within the budget of the parameters. "
        "'consilience annotate export' sends them to Label Studio.",
    )
    blocks: list[Listing | Note] = [Listing("Windows, the most useful first", heads, listed)]
    if table.height > MOST_LISTED:
        blocks.append(Note(f"The first {MOST_LISTED} of {table.height} are listed."))
    return Section("windows-to-annotate", "Windows to annotate again", intro, tuple(blocks))


def _place(row: dict[str, object]) -> tuple[str, str, str]:
    """Return file, second and person of a row."""
    second = row["file_s"]
    return (
        str(row["file"] or ABSENT),
        ABSENT if second is None else f"{second:.1f}",
        str(row["subject"]),
    )
