"""The samples of a catalogued recording, as ingest and the corruptions of windows read them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from consilience.modalities.base import Modality
from consilience.schema.params.plugins import ModalityParams
from consilience.signals.types import Signal


def read_signal(
    row: Mapping[str, Any], root: Path, modality: Modality, settings: ModalityParams
) -> Signal:
    """Read a recording, without the channels that its dataset marks as bad.

    Parameters
    ----------
    row : mapping of str to Any
        Its row of `Recordings`.
    root : Path
        Root of the dataset.
    modality : Modality
    settings : ModalityParams
        Parameters of the modality.

    Raises
    ------
    RecordingError
        If it cannot be read.
    """
    signal = modality.read(root / row["path"], row["item"], settings)
    return signal.masked(row["bad_channels"].split(",")) if row["bad_channels"] else signal
