"""A lost connection is one line in the log of the worker."""

from __future__ import annotations

import logging
import sys

from consilience.flows.prefect_worker import without_traceback


def test_a_record_loses_its_traceback() -> None:
    try:
        raise ConnectionError("closed")
    except ConnectionError:
        record = logging.LogRecord("prefect", logging.ERROR, "", 1, "failed", (), sys.exc_info())
    assert "closed" in logging.Formatter().format(record)
    assert without_traceback(record)
    assert logging.Formatter().format(record) == "failed"
