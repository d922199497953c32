"""An outlet of the Lab Streaming Layer with the predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from consilience.live.engine import Answer
from consilience.live.streams import OWN_TYPE, load_lsl
from consilience.schema.constants import AFFECT

FIXED = ("start_s", "end_s", "revised", "vacuity", "coherence")


def channels_of(classes: Sequence[str], sensors: Sequence[str]) -> list[str]:
    """Return the names of the channels, in their order; see docs/live.md."""
    return [
        *FIXED,
        *(f"p_{name}" for name in classes),
        *(f"reliability_{name}" for name in sensors),
        *(f"predicted_{name}" for name in AFFECT),
    ]


class Outlet:
    """Sends a sample per answer, stamped with the end of its window.

    Parameters
    ----------
    name : str
        Of the stream; its type is ``Prediction``.
    card : dict
        Of the model.
    """

    def __init__(self, name: str, card: dict[str, Any]) -> None:
        lsl = load_lsl()
        self.channels = channels_of(card["classes"], list(card["features"]))
        info = lsl.StreamInfo(
            name,
            OWN_TYPE,
            len(self.channels),
            lsl.IRREGULAR_RATE,
            lsl.cf_double64,
            f"consilience-{name}",
        )
        info.set_channel_labels(self.channels)
        description = info.desc()
        description.append_child_value("method", str(card["method"]))
        description.append_child_value("weights_sha256", str(card["weights_sha256"]))
        self._outlet = lsl.StreamOutlet(info)

    def send(self, answer: Answer, origin_s: float) -> None:
        """Send an answer.

        Parameters
        ----------
        answer : Answer
        origin_s : float
            LSL time of session time 0.
        """
        row = {**answer.row, "revised": float(answer.revised)}
        values = [row.get(name) for name in self.channels]
        numbers = [math.nan if value is None else float(value) for value in values]
        self._outlet.push_sample(numbers, origin_s + float(row["end_s"]))
