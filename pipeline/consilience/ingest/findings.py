"""Findings of the readers about recordings that can be used."""

from __future__ import annotations

from pathlib import Path

from consilience.core.errors import RecordingError, one_line, unreadable
from consilience.modalities.base import Modality


def findings_of(modality: Modality, path: Path, item: str | None) -> list[str]:
    """Return what the reader reports about a recording; a failure becomes a finding.

    Parameters
    ----------
    modality : Modality
        Configured with its parameters.
    path : Path
    item : str or None

    Raises
    ------
    MemoryError or OSError
        What the system refuses, which may succeed the next time.
    """
    try:
        return [one_line(what) for what in modality.inspect(path, item)]
    except RecordingError as error:
        return [one_line(error.reason)]
    except (MemoryError, OSError):
        raise
    except Exception as error:  # any failure of a reader belongs to its recording
        return [one_line(unreadable(error))]
