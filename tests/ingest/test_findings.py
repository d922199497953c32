from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import pytest

from consilience.core.errors import RecordingError
from consilience.ingest.findings import findings_of


def inspected(outcome: list[str] | Exception) -> list[str]:
    """Return the findings of a modality whose inspection returns or raises the outcome."""
    side_effect = outcome if isinstance(outcome, Exception) else [outcome]
    return findings_of(Mock(inspect=Mock(side_effect=side_effect)), Path("a.edf"), None)


@pytest.mark.parametrize(
    ("outcome", "findings"),
    [
        (["2 gaps\x1b[2J"], ["2 gaps\\x1b[2J"]),
        (RecordingError("flat", "a.edf", "check the sensor"), ["flat (check the sensor)"]),
        (ValueError("bad"), ["cannot be read: ValueError: bad"]),
    ],
)
def test_a_failure_of_the_reader_is_a_finding(
    outcome: list[str] | Exception, findings: list[str]
) -> None:
    assert inspected(outcome) == findings


def test_what_the_system_refuses_is_none() -> None:
    with pytest.raises(MemoryError):
        inspected(MemoryError())
