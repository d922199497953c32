"""A lost connection is one line in the log of the worker; an error keeps its traceback."""

from __future__ import annotations

import logging
import sys

import pytest

from consilience.flows.prefect_worker import without_traceback


@pytest.mark.parametrize(("level", "is_kept"), [(logging.WARNING, False), (logging.ERROR, True)])
def test_a_warning_has_no_traceback(level: int, is_kept: bool) -> None:
    try:
        raise ConnectionError("closed")
    except ConnectionError:
        record = logging.LogRecord("prefect", level, "", 1, "failed", (), sys.exc_info())
    assert without_traceback(record)
    assert ("closed" in logging.Formatter().format(record)) == is_kept
