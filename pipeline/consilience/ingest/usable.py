"""Modalities without a usable recording."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path

import polars as pl

from consilience.core.errors import ConsilienceError
from consilience.core.wording import counted

MOST_REASONS = 3


class UnusableModalityError(ConsilienceError):
    """No recording of a modality is usable.

    Parameters
    ----------
    what, remedy : str
        As in `ConsilienceError`.
    modality : str
    """

    def __init__(self, what: str, modality: str, remedy: str) -> None:
        super().__init__(what, f"modality {modality}", remedy)
        self.modality = modality

    def __reduce__(self) -> tuple[type[ConsilienceError], tuple[str, str, str]]:
        """Let the error pass from a worker process to its parent."""
        return type(self), (self.what, self.modality, self.remedy)


def check_usable(
    modality: str, table: pl.DataFrame, path: Path, usable: Collection[str] = ("ok",)
) -> None:
    """Raise with the most frequent reasons if no recording of a modality is usable.

    Parameters
    ----------
    modality : str
    table : polars.DataFrame
        Its recordings, with ``status`` and ``reason``.
    path : Path
        File of the table, for the message.
    usable : collection of str
        Statuses of recordings that can be used.

    Raises
    ------
    UnusableModalityError
    """
    if table["status"].is_in(list(usable)).any():
        return
    reasons = Counter(table["reason"]).most_common()
    first = "; ".join(f"{count} × {reason}" for reason, count in reasons[:MOST_REASONS])
    further = (
        f"; {counted(len(reasons) - MOST_REASONS, 'other reason')}"
        if reasons[MOST_REASONS:]
        else ""
    )
    raise UnusableModalityError(
        f"none of {counted(table.height, 'recording')} is usable: {first}{further}",
        modality,
        f"all are in {path}; correct them, or remove the modality from params.yaml",
    )
