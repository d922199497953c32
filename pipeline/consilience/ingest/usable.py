"""One line on a modality without a usable recording."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import polars as pl

from consilience.core.errors import ConsilienceError

MOST_REASONS = 3


def check_usable(modality: str, table: pl.DataFrame, path: Path) -> None:
    """Raise with the most frequent reasons if no recording of a modality is usable.

    Parameters
    ----------
    modality : str
    table : polars.DataFrame
        Its recordings, with ``status`` and ``reason``.
    path : Path
        File of the table, for the message.

    Raises
    ------
    ConsilienceError
    """
    if (table["status"] == "ok").any():
        return
    reasons = Counter(table["reason"]).most_common()
    first = "; ".join(f"{count} × {reason}" for reason, count in reasons[:MOST_REASONS])
    further = f"; {len(reasons) - MOST_REASONS} other reasons" if reasons[MOST_REASONS:] else ""
    raise ConsilienceError(
        f"none of {table.height} recordings is usable: {first}{further}",
        f"modality {modality}",
        f"all are in {path}; correct them, or remove the modality from params.yaml",
    )
