"""Channels and sampling rates of the recordings of a dataset, for ``consilience use``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from consilience.core import registry
from consilience.core.errors import RecordingError, one_line
from consilience.core.isolation import isolated_map
from consilience.core.wording import counted
from consilience.datasets.base import Dataset, Entry, source_modality
from consilience.ingest.catalog import LIMIT_S
from consilience.modalities.base import Modality
from consilience.modalities.params.eeg import EegParams
from consilience.readers.recording import open_recording
from consilience.signals.montage import openbci_positions
from consilience.signals.types import Header

MOST_OPENED = 20  # recordings of a modality, evenly distributed over the dataset

Probed = tuple[Header, dict[str, str]]  # with the assumed aliases of its channels


@dataclass(frozen=True)
class Recorded:
    """Content of the recordings of one modality.

    Attributes
    ----------
    rates : dict of str to int
        Number of the opened recordings by sampling rate in Hz.
    channels : tuple of str
        Standard names of the EEG channels that at least half of them have.
    aliases : dict of str to str
        Assumed positions of the anonymous channels of OpenBCI, by the channel's name.
    """

    rates: dict[str, int]
    channels: tuple[str, ...]
    aliases: dict[str, str] = field(default_factory=dict)

    def described(self, modality: str) -> str:
        """Return one line: rates, channels if any, and positions that are assumed."""
        rates = ", ".join(
            f"{rate} Hz in {counted(count, 'opened recording')}"
            for rate, count in self.rates.items()
        )
        channels = f"; channels {', '.join(self.channels)}" if self.channels else ""
        assumed = ", ".join(f"{name} as {position}" for name, position in self.aliases.items())
        note = f"; OpenBCI's usual positions are assumed ({assumed}): correct 'aliases' if yours"
        note = f"{note} differ" if assumed else ""
        return one_line(f"{modality}: {rates or 'no sampling rate'}{channels}{note}")


def recorded(
    dataset: Dataset, entries: Sequence[Entry], root: Path, modalities: Sequence[str]
) -> dict[str, Recorded]:
    """Open some recordings of each modality and return their rates and channels.

    Parameters
    ----------
    dataset : Dataset
        Bound to the folder.
    entries : sequence of Entry
        Its recordings.
    root : Path
    modalities : sequence of str

    Returns
    -------
    dict of str to Recorded
        What cannot be opened is left out; ``consilience check`` reports it.
    """
    result = {}
    for name in modalities:
        source = source_modality(dataset, name)
        listed = [entry for entry in entries if entry.modality == source]
        chosen = listed[:: max(1, -(-len(listed) // MOST_OPENED))]
        work = partial(_opened, root=root, name=name)
        headers = isolated_map(work, chosen, f"open {name}", LIMIT_S, lambda *_: None)
        result[name] = _summarised([header for header in headers if header is not None])
    return result


def _opened(entry: Entry, root: Path, name: str) -> Probed | None:
    """Return the header of one recording; None if it cannot be opened."""
    path = root / entry.path
    try:
        if not path.resolve().is_relative_to(root.resolve()):
            return None
        modality = registry.get("modalities", name)
        try:
            return modality.probe(path, entry.item), {}
        except RecordingError:
            return _with_usual_positions(modality, path, entry.item)
    except Exception:  # any failure of a reader; the catalog reports it with its reason
        return None


def _with_usual_positions(modality: Modality, path: Path, item: str | None) -> Probed:
    """Return the header of EEG of OpenBCI, whose channels have numbers instead of positions."""
    settings = registry.params("modalities", modality.name)
    if not issubclass(settings, EegParams):
        raise RecordingError("not EEG", str(path))
    positions = openbci_positions(open_recording(path, item).names)
    return modality.configured(settings(aliases=positions)).probe(path, item), positions


def _summarised(usable: list[Probed]) -> Recorded:
    headers = [header for header, _ in usable]
    rates = Counter(header.rate_hz for header in headers if header.rate_hz is not None)
    channels = Counter(name for header in headers for name in header.channels)
    return Recorded(
        {f"{rate:g}": count for rate, count in sorted(rates.items())},
        tuple(name for name, count in channels.items() if count >= len(headers) / 2),
        {name: position for _, aliases in usable for name, position in aliases.items()},
    )
