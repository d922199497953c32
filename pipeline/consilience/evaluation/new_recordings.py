"""Other recordings made ready for a trained model: cut into windows as those of its training.

The recordings get a project of their own, so that a second run processes only what is new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from consilience import params
from consilience.core.errors import ConsilienceError
from consilience.core.files import atomic_folder, sweep, text_hash, write_bytes
from consilience.datasets.base import source_modality
from consilience.project import Project
from consilience.schema.tables import Splits, frame_of, write_table
from consilience.training.people import Roles, recordings_by_subject, seen_people
from consilience.windows.build import write_windows
from consilience.windows.store import Corpus

Card = dict[str, Any]


def check_classes(card: Card, source: Any, dataset: str) -> None:
    """Raise if a dataset has a class that the model was not trained on."""
    unknown = [name for name in source.classes if name not in card["classes"]]
    if unknown:
        raise ConsilienceError(
            f"the model was not trained on its classes {', '.join(unknown)}",
            f"dataset '{dataset}'",
            f"its classes are {', '.join(card['classes'])}",
        )


def offered_modalities(card: Card, source: Any) -> list[str]:
    """Return the modalities of a model that a dataset offers."""
    names = card["recipe"]["modalities"]
    return [name for name in names if source_modality(source, name) is not None]


def check_modalities(card: Card, source: Any, dataset: str, *, any_subset: bool = False) -> None:
    """Raise if a dataset lacks a modality of the model; with `any_subset`, if it lacks all."""
    names = list(card["recipe"]["modalities"])
    offered = offered_modalities(card, source)
    lacking = [name for name in names if name not in offered]
    if lacking and not (any_subset and offered):
        raise ConsilienceError(
            f"it does not offer {', '.join(lacking)}, which the model was trained for",
            f"dataset '{dataset}'",
            f"it offers {', '.join(source.modalities)}",
        )


def check_features(corpus: Corpus, card: Card) -> None:
    """Raise if the features of a modality are not those of the training."""
    for name, expected in card["features"].items():
        features = corpus.features[name]
        if features != expected:
            other = [feature for feature in features if feature not in expected] or features
            raise ConsilienceError(
                f"{len(features)} features instead of {len(expected)}, such as {other[0]}",
                f"modality {name}",
                "the recordings or the program differ from those of the training",
            )


def nested_project(
    project: Project,
    card: Card,
    root: Path,
    dataset: str,
    modalities: Sequence[str],
    *,
    corruptions: bool,
) -> Project:
    """Return a project of its own for the recordings, with the parameters of the card.

    Bundles of all methods share it, so that recordings are read once.

    Parameters
    ----------
    project : Project
        In which the other one is nested.
    card : dict
    root : Path
        Folder of the recordings.
    dataset : str
        Name of its adapter.
    modalities : sequence of str
        Of the model's, those to process.
    corruptions : bool
        Whether signals are also corrupted, for a test.
    """
    # Of the card only these: another section could name other recordings.
    recipe = {name: card["recipe"][name] for name in ("alignment", "annotation", "windows")}
    fields = {name: card["recipe"]["modalities"][name] for name in modalities}
    if not corruptions:
        fields = {name: {**of, "corruptions": {}} for name, of in fields.items()}
    content = params.defaults(dataset, str(root), list(modalities))
    content |= {**recipe, "modalities": fields}
    text = params.document(content)
    other = project.external(f"{dataset}-{text_hash(text)[:12]}")
    sweep(other.root)
    write_bytes(other.params_file, text.encode())
    return other


def cut_windows(
    other: Project,
    card: Card,
    emit: Callable[[str], None],
    *,
    labelled: bool,
) -> dict[str, Roles]:
    """Cut the aligned recordings into windows, each subject's role in a fold as in the bundle.

    Parameters
    ----------
    other : Project
        Of `nested_project`, processed up to labels.
    card : dict
    emit : callable
        Receives the lines of the summary.
    labelled : bool
        Whether the windows are to be scored: those without a label are left out, and people that
        every run was trained on are not tested.

    Returns
    -------
    dict of str to (mapping of str to str)
        The roles by fold of the subjects of which the training had a recording.
    """
    modalities = list(other.content["modalities"])
    seen = seen_people(card["people"], recordings_by_subject(other, modalities))
    seen = {name: roles for name, roles in seen.items() if set(roles.values()) != {"test"}}
    with atomic_folder(other.windows) as folder:
        index = write_windows(other, folder, emit, labelled=labelled)
        table = splits(card, seen, index["subject"], scored=labelled)
        write_table(folder / "splits.parquet", table, Splits)
    return seen


def splits(
    card: Card, seen: Mapping[str, Roles], subjects: Iterable[str], *, scored: bool
) -> pl.DataFrame:
    """Return the role of every subject in every fold of a bundle; new subjects are tested.

    Parameters
    ----------
    card : dict
    seen : mapping of str to (mapping of str to str)
        Roles by fold of the subjects of the training.
    subjects : iterable of str
    scored : bool
        Whether the predictions are scored. Otherwise people that no run held out are predicted too.
    """
    rows: list[dict[str, object]] = []
    for fold in sorted({run["fold"] for run in card["runs"]}):
        for name in sorted(set(subjects)):
            roles = seen.get(name, {})
            held_out = name not in seen or not (scored or "test" in roles.values())
            role = "test" if held_out else roles.get(str(fold), "test")
            rows.append({"fold": fold, "subject": name, "role": role})
    return frame_of(rows, Splits)
