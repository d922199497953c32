"""What a dataset must offer: where its recordings, clocks and annotations are."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import polars as pl

from consilience.core import registry


@dataclass(frozen=True)
class Entry:
    """One recording of one modality, as the dataset lists it.

    Attributes
    ----------
    session, subject, modality : str
        Whose recording of what; a session is what shares one clock.
    path : str
        Relative to the dataset's root, with forward slashes.
    item : str or None
        Key inside a file that holds several recordings (a row of a table).
    declared_rate_hz : float or None
        Sampling rate the dataset's own papers state, checked against the header.
    clock : str or None
        As the dataset's `clock`, for this recording; None if it is no exception.
    bad_channels : tuple of str
        Those the dataset calls bad, by the names the modality's reader gives; they are masked.
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
    """All a dataset says of itself.

    Attributes
    ----------
    entries : list of Entry
        Recordings, also those whose file turns out to be missing or unreadable.
    trials, pulses, annotations : polars.DataFrame
        Tables `Trials`, `Pulses` and `Annotations` of ``consilience.schema.tables``. A dataset
        without trials (windows may lie anywhere) or pulses leaves the table empty.
    problems : list of (where, what, remedy)
        What could not be listed at all: misnamed files, rows that make no sense.
    notes : list of (where, what)
        What is no fault but worth knowing, such as channels the dataset calls bad.
    """

    entries: list[Entry]
    trials: pl.DataFrame
    pulses: pl.DataFrame
    annotations: pl.DataFrame
    problems: list[tuple[str, str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)


class Dataset(Protocol):
    """One dataset, in one file.

    A dataset whose modalities and classes depend on its folder also has a method
    ``at(root) -> Dataset``, which returns it with what is found there; see `opened`.

    Attributes
    ----------
    name : str
        The name in ``params.yaml``.
    modalities : tuple of str
        What it lists; see also `source_modality`.
    classes : tuple of str
        Emotion classes, in the order used everywhere.
    clock : str
        ``"anchors"`` if recordings are aligned by what they hold of the session's clock (clock
        offsets, pulses, shared sound), ``"shared"`` if their own time is the session's (one
        container, or cut together).
    preset : dict
        What ``consilience use`` changes of the default parameters for it; ``"modalities"`` are
        those it names, if not all.
    """

    name: ClassVar[str]
    modalities: ClassVar[tuple[str, ...]]
    classes: ClassVar[tuple[str, ...]]
    clock: ClassVar[str]
    preset: ClassVar[dict[str, Any]]

    def list(self, root: Path) -> Listing:
        """List the dataset. Raises ConsilienceError if `root` is no such dataset."""
        ...


def source_modality(dataset: Dataset, modality: str) -> str | None:
    """Return the modality as which a dataset lists what another reads; None if it has nothing.

    What reads the recordings of another modality (`Modality.reads`) is listed as that one, unless
    the dataset lists it by itself.
    """
    if modality in dataset.modalities or modality not in registry.names("modalities"):
        return modality if modality in dataset.modalities else None
    other: str | None = getattr(registry.get("modalities", modality), "reads", None)
    return other if other in dataset.modalities else None


def bind_to_root(dataset: Dataset, root: Path) -> Dataset:
    """Return a dataset as it is in a folder: with the modalities and classes found there.

    Raises
    ------
    ConsilienceError
        If the folder is no such dataset.
    """
    at = getattr(dataset, "at", None)
    found: Dataset = at(root) if at else dataset
    return found
