from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from consilience.core.errors import ConsilienceError
from consilience.ingest.usable import check_usable


def table(*reasons: str | None) -> pl.DataFrame:
    rows = [{"status": "quarantined" if reason else "ok", "reason": reason} for reason in reasons]
    return pl.DataFrame(rows, schema={"status": pl.String, "reason": pl.String})


def test_one_usable_recording_suffices() -> None:
    check_usable("eeg", table("flat", None), Path("a.parquet"))


def test_a_stage_may_name_its_own_usable_statuses() -> None:
    coarse = pl.DataFrame({"status": ["unaligned", "coarse"], "reason": ["no pulse", "one pulse"]})
    check_usable("eeg", coarse, Path("a.parquet"), ("aligned", "coarse"))
    with pytest.raises(ConsilienceError, match="none of 2 recordings is usable"):
        check_usable("eeg", coarse, Path("a.parquet"), ("aligned",))


def test_the_most_frequent_reasons_come_first() -> None:
    reasons = ["a", "b", "b", "c", "d", "e", "e", "e"]
    with pytest.raises(ConsilienceError) as caught:
        check_usable("eeg", table(*reasons), Path("a.parquet"))
    assert str(caught.value) == (
        "modality eeg: none of 8 recordings is usable: 3 × e; 2 × b; 1 × a; 2 other reasons "
        "(all are in a.parquet; correct them, or remove the modality from params.yaml)"
    )
