"""Consensus of crowd votes on CREMA-D: ``python -m benchmarks.labels.crowd CREMA_D [PICTURE]``.

About ten people each name the emotion of every clip of CREMA-D by voice, by face, and by both. The
table of their votes (Cao et al. 2014) does not identify voters, so the confusions of single voters
cannot be estimated: all voters of one presentation count as one annotator with many votes per
clip. Consensus and majority vote are compared with the emotion that the actor intended. All
estimates are made on other actors than they are tested on.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import polars as pl
from matplotlib.figure import Figure
from numpy.typing import NDArray

from consilience.annotation.dawid_skene import dawid_skene, posterior
from consilience.core.errors import ConsilienceError
from consilience.core.seeds import generator

TABLES = ("tabulatedVotes.csv.gz", "tabulatedVotes.csv")
VOTED = {"A": "ANG", "D": "DIS", "F": "FEA", "H": "HAP", "N": "NEU", "S": "SAD"}
PRESENTATIONS = ("voice", "face", "both")  # by the first digit of a row's number, from 1
FOLDS = 6
RESAMPLES = 2000
COLOURS = ("#999999", "#D55E00", "#0072B2")  # Okabe & Ito 2008

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Votes:
    """Votes on clips, and the emotions that the actors intended.

    Attributes
    ----------
    counts : dict of str to ndarray of float64, shape (n_clips, K)
        By presentation.
    intended : ndarray of intp, shape (n_clips,)
    actor : ndarray of intp, shape (n_clips,)
    """

    counts: dict[str, Floats]
    intended: Indices
    actor: Indices


def read_votes(root: Path) -> Votes:
    """Read the table of votes.

    Raises
    ------
    ConsilienceError
        If the folder does not contain it.
    """
    path = next((root / name for name in TABLES if (root / name).is_file()), None)
    if path is None:
        raise ConsilienceError("no table of votes", str(root), f"expected {TABLES[0]} of CREMA-D")
    table = pl.read_csv(path, null_values="NA", infer_schema_length=None).sort("fileName")
    presentation = table[""] // 100_000
    tables = [table.filter(presentation == number) for number in (1, 2, 3)]
    clip = tables[0]["fileName"].str.split("_")
    emotions = list(VOTED.values())
    return Votes(
        {
            name: rows.select(list(VOTED)).to_numpy().astype(np.float64)
            for name, rows in zip(PRESENTATIONS, tables, strict=True)
        },
        np.array([emotions.index(name) for name in clip.list.get(2)], dtype=np.intp),
        clip.list.get(0).cast(pl.Int64).to_numpy().astype(np.intp),
    )


def hits(scores: Floats, intended: Indices) -> Floats:
    """Return 1 where the intended class has the highest score, 1 / n where n classes share it."""
    top = scores >= scores.max(axis=1, keepdims=True) - 1e-9
    share: Floats = top[np.arange(len(scores)), intended] / top.sum(axis=1)
    return share


def consensus(counts: list[Floats], actor: Indices) -> Floats:
    """Return class probabilities from confusions that are estimated on other actors' clips.

    The intended emotions are not used.

    Parameters
    ----------
    counts : list of ndarray of float64, shape (n_clips, K)
        Votes; each entry of the list is one annotator.
    actor : ndarray of intp, shape (n_clips,)
    """
    result = np.empty_like(counts[0])
    for test in _folds(actor):
        fit = dawid_skene(*_long([votes[~test] for votes in counts]))
        result[test] = posterior(*_long([votes[test] for votes in counts]), fit)
    return result


def with_intentions(counts: list[Floats], votes: Votes) -> Floats:
    """Return class probabilities from the intended emotions of other actors' clips."""
    result = np.empty_like(counts[0])
    k = result.shape[1]
    for test in _folds(votes.actor):
        intended = np.eye(k)[votes.intended[~test]]
        logits = np.log(intended.mean(axis=0)) + np.zeros((int(test.sum()), 1))
        for annotator in counts:
            confusion = intended.T @ annotator[~test] + 1
            log_confusion = np.log(confusion / confusion.sum(1, keepdims=True))
            logits = logits + annotator[test] @ log_confusion.T
        result[test] = np.exp(logits - logits.max(axis=1, keepdims=True))
    return result


def _folds(actor: Indices) -> list[NDArray[np.bool_]]:
    return [actor % FOLDS == fold for fold in range(FOLDS)]


def _long(counts: list[Floats]) -> tuple[Indices, Indices, Floats]:
    n = len(counts[0])
    item = np.tile(np.arange(n), len(counts))
    return item, np.repeat(np.arange(len(counts)), n), np.concatenate(counts)


def compare(votes: Votes) -> pl.DataFrame:
    """Return how often majority and consensus name the intended emotion, by presentation.

    Columns: presentation, majority, majority_alone (a tie counts as wrong), consensus, lead, low,
    high (of the consensus over the majority, with a 95 % interval over actors), with_intentions.
    """
    rows = []
    for name, counts in {
        **{k: [v] for k, v in votes.counts.items()},
        "all": [*votes.counts.values()],
    }.items():
        total = np.sum(counts, axis=0)
        majority = hits(total, votes.intended)
        agreed = hits(consensus(counts, votes.actor), votes.intended)
        lead, low, high = _interval(agreed - majority, votes.actor)
        rows.append(
            {
                "presentation": name,
                "majority": majority.mean(),
                "majority_alone": (majority == 1).mean(),
                "consensus": agreed.mean(),
                "lead": lead,
                "low": low,
                "high": high,
                "with_intentions": hits(with_intentions(counts, votes), votes.intended).mean(),
            }
        )
    return pl.DataFrame(rows)


def _interval(difference: Floats, actor: Indices) -> tuple[float, float, float]:
    """Return the mean and its 95 % interval from resampling actors."""
    _, group = np.unique(actor, return_inverse=True)
    sums, n = np.bincount(group, difference), np.bincount(group)
    drawn = generator("crowd", "interval").integers(len(n), size=(RESAMPLES, len(n)))
    resampled = sums[drawn].sum(axis=1) / n[drawn].sum(axis=1)
    low, high = np.quantile(resampled, [0.025, 0.975])
    return float(difference.mean()), float(low), float(high)


def draw(table: pl.DataFrame, path: Path) -> None:
    """Draw the comparison as SVG; the same table gives the same bytes."""
    mpl.rcParams.update({"svg.hashsalt": "consilience", "font.size": 9, "svg.fonttype": "none"})
    figure = Figure(figsize=(5.2, 2.6))
    panel = figure.subplots()
    columns: Mapping[str, str] = {
        "majority": "most votes",
        "consensus": "consensus",
        "with_intentions": "consensus, other actors' intentions known",
    }
    place = np.arange(table.height)
    for number, (column, name) in enumerate(columns.items()):
        bars = panel.bar(place + 0.27 * (number - 1), table[column], 0.25, label=name)
        for bar, share in zip(bars, table[column], strict=True):
            bar.set_color(COLOURS[number])
            middle = bar.get_x() + bar.get_width() / 2
            panel.text(middle, share + 0.01, f"{100 * share:.0f}", ha="center", fontsize=7)
    panel.set_xticks(place, table["presentation"].to_list())
    panel.set_ylim(0, 0.9)
    panel.set_ylabel("intended emotion named")
    panel.legend(frameon=False, fontsize=7, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")


def main(root: str, picture: str | None = None) -> None:
    """Print the comparison, and draw it if a path is given."""
    table = compare(read_votes(Path(root)))
    for row in table.iter_rows(named=True):
        print(
            f"{row['presentation']}: most votes {100 * row['majority']:.1f} % (ties as wrong: "
            f"{100 * row['majority_alone']:.1f} %), consensus {100 * row['consensus']:.1f} %, "
            f"lead {100 * row['lead']:.1f} [{100 * row['low']:.1f}, {100 * row['high']:.1f}] "
            f"points; intentions of others known: {100 * row['with_intentions']:.1f} %"
        )
    if picture:
        draw(table, Path(picture))


if __name__ == "__main__":
    main(*sys.argv[1:])
