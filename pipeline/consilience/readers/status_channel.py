"""Trigger codes on the ``Status`` channel of BioSemi recordings (BDF)."""

from __future__ import annotations

from pathlib import Path

import edfio
import numpy as np

from consilience.core.errors import RecordingError

CODE_BITS = 0xFF  # higher bits are flags of the amplifier, which differ between recorders


def status_events(path: Path) -> list[tuple[float, int]]:
    """Return the changes of the trigger code to a value other than zero.

    Only the status channel is read, not the whole file.

    Returns
    -------
    list of (float, int)
        Time in seconds from the first sample, and the code from 1 to 255.

    Raises
    ------
    RecordingError
        If the file is not a readable BDF file, or has no ``Status`` channel.
    """
    try:
        signals = {signal.label.lower(): signal for signal in edfio.read_bdf(path).signals}
        status = signals.get("status")
        digital = None if status is None else np.asarray(status.digital)
    except Exception as error:  # the parser raises almost anything on damaged bytes
        what = " ".join(str(error).split())[:150]
        raise RecordingError(f"not a readable BDF: {what}", path.name, "copy it again") from None
    if status is None or digital is None or not digital.size:
        raise RecordingError("no Status channel", path.name, "export it with its triggers")
    codes = digital.astype(np.int64) & CODE_BITS
    starts = np.flatnonzero(np.diff(codes, prepend=0))
    return [
        (float(start / status.sampling_frequency), int(codes[start]))
        for start in starts
        if codes[start]
    ]
