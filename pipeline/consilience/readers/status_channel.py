"""Trigger codes on the ``Status`` channel of BioSemi recordings (BDF)."""

from __future__ import annotations

from pathlib import Path

from consilience.core.errors import RecordingError
from consilience.readers.edf import EdfRecording


def status_events(path: Path) -> list[tuple[float, int]]:
    """Return the markers on the status channel; see `readers.markers.code_events`.

    Only the status channel is read, not the whole file.

    Returns
    -------
    list of (float, int)
        Time in seconds from the first sample, and the code from 1 to 65535.

    Raises
    ------
    RecordingError
        If the file is not a readable BDF file, or has no ``Status`` channel with codes.
    """
    try:
        events = EdfRecording(path, None).code_events("Status")
    except OSError as error:
        what = " ".join(str(error).split())[:150]
        raise RecordingError(f"not a readable BDF: {what}", path.name, "copy it again") from None
    if events is None:
        raise RecordingError(
            "no Status channel with codes", path.name, "export it with its triggers"
        )
    return events
