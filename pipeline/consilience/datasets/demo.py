"""The demonstration corpus.

::

    recordings.csv     subject, session, modality, path, rate_hz: what was to be recorded
    trials.csv         session, trial, start_s, end_s
    pulses.csv         session, time_s: synchronisation pulses of the session's computer
    annotations.csv    session, annotator, target, start_s, end_s, label, value
    sub-01/ses-1/eeg.edf      16-bit EDF in microvolts, with a trigger channel ``TRIG``
    sub-01/ses-1/voice.flac   mono, a click at every pulse
    sub-01/ses-1/face.mp4     H.264, a flash of light at every pulse
    sub-01/ses-2/…

The tables are those of `consilience.datasets.folder`. ``session`` is unique over subjects
(``sub-01_ses-1``). All seconds are those of the session's computer. Each recording starts at zero
of its own device's clock, whose offset and drift only the pulses show. Observers (``rater-1``, …)
and the subject (``self``) name a class per trial (``label``). Observers rate valence and arousal in
``[-1, 1]`` four times a second, the subject once per trial (``value``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from consilience.datasets.base import Listing
from consilience.datasets.folder import read_tables


class Demo:
    """Adapter of the demonstration corpus."""

    name: ClassVar[str] = "demo"
    modalities: ClassVar[tuple[str, ...]] = ("eeg", "audio", "video")
    classes: ClassVar[tuple[str, ...]] = ("happy", "angry", "sad", "calm")
    clock: ClassVar[str] = "anchors"
    preset: ClassVar[dict[str, Any]] = {
        "modalities": {"eeg": {}, "audio": {}, "video": {}},
        # A session has eight episodes, so that its mean is close to the neutral state: validation
        # loss of the hybrid 1.10 with a running baseline, 1.03 with a person's, 1.00 with this one.
        # No second training, so that the demonstration is short.
        "training": {"baseline": "recording", "refit": False},
    }

    def list(self, root: Path) -> Listing:
        """List the recordings that the manifest names; see the module for the layout.

        Raises
        ------
        ConsilienceError
            If the manifest is missing or unreadable.
        """
        return read_tables(root, self.classes, optional=False)


dataset = Demo()
