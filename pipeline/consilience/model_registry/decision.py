"""The gate's decision about a trained model, as a record."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from consilience.core.files import json_ready
from consilience.model_registry.comparison import Row


@dataclass(frozen=True)
class Decision:
    """Whether a trained model may replace the accepted one, and why.

    Attributes
    ----------
    accepted : bool
    method : str
    model_sha256 : str
        Of the weights of ``data/models/<method>`` that were compared.
    against : str or None
        The accepted version; None of the first model.
    reasons : tuple of str
        One line each.
    rows : tuple of Row
        The compared figures; none where nothing could be or had to be compared.
    n_people, n_windows : int
        Compared.
    n_left_out : int
        People of the study that the accepted model's training did not have, or without a common
        window.
    confidence : float
        Of the intervals.
    """

    accepted: bool
    method: str
    model_sha256: str
    against: str | None
    reasons: tuple[str, ...]
    rows: tuple[Row, ...] = ()
    n_people: int = 0
    n_windows: int = 0
    n_left_out: int = 0
    confidence: float = 0.95

    def as_json(self) -> dict[str, Any]:
        """Return the decision as nested dicts and lists of numbers and strings."""
        rows = [row._asdict() for row in self.rows]
        content: dict[str, Any] = json_ready({**asdict(self), "rows": rows})
        return content
