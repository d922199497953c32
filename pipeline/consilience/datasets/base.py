"""The Protocol of datasets, and the tables in which a dataset lists its content."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Protocol

import polars as pl

from consilience.core import registry
from consilience.core.errors import ConsilienceError, unreadable
from consilience.core.isolation import isolated_map
from consilience.schema.tables import Subjects, frame_of

LIMIT_S = 3600.0  # to list a dataset
LISTING_FACTOR = 20.0  # by which listing may take longer than opening one file


@dataclass(frozen=True)
class Entry:
    """One recording of one modality.

    Attributes
    ----------
    session, subject, modality : str
        The recordings of a session share one clock.
    path : str
        Relative to the root of the dataset, with forward slashes.
    item : str or None
        Which recording of a file that holds several: the stream of an XDF file, the row of a table,
        or what `MatlabLayout.item` returns.
    declared_rate_hz : float or None
        Sampling rate in the dataset's documentation, which is checked against the header.
    clock : str or None
        `Dataset.clock` of this recording, where it differs from the dataset's.
    bad_channels : tuple of str
        Channels that the dataset marks as bad, by the names that the modality's reader returns;
        they are masked.
    """

    session: str
    subject: str
    modality: str
    path: str
    item: str | None = None
    declared_rate_hz: float | None = None
    clock: str | None = None
    bad_channels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listing:
    """Content of a dataset.

    Attributes
    ----------
    entries : list of Entry
        Recordings, including those whose file is missing or unreadable.
    trials, pulses, annotations : polars.DataFrame
        Tables `Trials`, `Pulses` and `Annotations` of ``consilience.schema.tables``. A dataset
        without trials (windows may lie anywhere) or pulses leaves the table empty.
    problems : list of (where, what, remedy)
        What could not be listed, such as misnamed files and invalid rows.
    notes : list of (where, what)
        Remarks that are not problems, such as channels that the dataset marks as bad.
    people : polars.DataFrame
        Table `Subjects`: sex, age, site and device, as far as the layout states them.
        ``participants.tsv`` at the root is read for every dataset and need not be listed.
    """

    entries: list[Entry]
    trials: pl.DataFrame
    pulses: pl.DataFrame
    annotations: pl.DataFrame
    problems: list[tuple[str, str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    people: pl.DataFrame = field(default_factory=lambda: frame_of([], Subjects))


class Dataset(Protocol):
    """One dataset, in one file.

    A dataset whose modalities and classes depend on its folder also has a method
    ``at(root) -> Dataset``, which returns the dataset with those of a folder; see `bind_to_root`.

    Attributes
    ----------
    name : str
        The name in ``params.yaml``.
    modalities : tuple of str
        Modalities that it lists; see also `source_modality`.
    classes : tuple of str
        Emotion classes, in the order of every table and model output.
    clock : str
        ``"anchors"`` if recordings are aligned by traces of the session's clock in them (clock
        offsets, pulses, shared sound); ``"shared"`` if their times are the session's (one
        container, or cut together).
    preset : dict
        Parameters that ``consilience use`` sets for this dataset; ``"modalities"`` are those used
        by default, if not all.
    """

    name: ClassVar[str]
    modalities: ClassVar[tuple[str, ...]]
    classes: ClassVar[tuple[str, ...]]
    clock: ClassVar[str]
    preset: ClassVar[dict[str, Any]]

    def list(self, root: Path) -> Listing:
        """Return the content of a folder. Raises ConsilienceError if it is not this dataset."""
        ...


def source_modality(dataset: Dataset, modality: str) -> str | None:
    """Return the modality under which a dataset lists another's recordings; None if it has none.

    A modality that reads the recordings of another one (`Modality.reads`) is listed under that one,
    unless the dataset lists it explicitly. One of a family is listed under any other of it.
    """
    if modality in dataset.modalities or not registry.exists("modalities", modality):
        return modality if modality in dataset.modalities else None
    if family := registry.family("modalities", modality):
        relatives = (n for n in dataset.modalities if registry.family("modalities", n) == family)
        return next(relatives, None)
    other: str | None = registry.get("modalities", modality).reads
    return other if other in dataset.modalities else None


def list_isolated(dataset: Dataset, root: Path) -> tuple[Dataset, Listing]:
    """Return a dataset bound to a folder, and its listing, from a worker process with limits.

    Raises
    ------
    ConsilienceError
        If the folder is not such a dataset, or listing it exceeded the time or the memory.
    """
    try:
        pickle.dumps(dataset)
    except (pickle.PicklingError, AttributeError, TypeError):  # of a module that is not installed
        return _bound_and_listed(dataset, root)
    work = partial(_bound_and_listed, root=root)
    failed = partial(_not_listed, root=root)
    [(bound, listing)] = isolated_map(
        work, [dataset], "list recordings", LIMIT_S, failed, LISTING_FACTOR
    )
    return bound, listing


def bind_isolated(dataset: Dataset, root: Path) -> Dataset:
    """Return what `bind_to_root` returns, from a worker process with limits."""
    return list_isolated(dataset, root)[0] if hasattr(dataset, "at") else dataset


def _bound_and_listed(dataset: Dataset, root: Path) -> tuple[Dataset, Listing]:
    try:
        bound = bind_to_root(dataset, root)
        return bound, bound.list(root)
    except ConsilienceError:
        raise
    except Exception as error:  # any failure of an adapter or a library belongs to the folder
        raise ConsilienceError(unreadable(error), str(root)) from error


def _not_listed(dataset: Dataset, reason: str, root: Path) -> tuple[Dataset, Listing]:
    raise ConsilienceError(f"the dataset cannot be listed: {reason}", str(root))


def bind_to_root(dataset: Dataset, root: Path) -> Dataset:
    """Return a dataset with the modalities and classes of a folder.

    Raises
    ------
    ConsilienceError
        If the folder is not such a dataset.
    """
    at = getattr(dataset, "at", None)
    bound: Dataset = at(root) if at else dataset
    return bound
