"""A lost connection is one line in the log of a worker or a run."""

from __future__ import annotations

import logging
import sys
import traceback

import pytest

from consilience.flows.observers import print_without_traceback, without_traceback


def test_a_record_loses_its_traceback() -> None:
    try:
        raise ConnectionError("closed")
    except ConnectionError:
        record = logging.LogRecord("prefect", logging.ERROR, "", 1, "failed", (), sys.exc_info())
    assert "closed" in logging.Formatter().format(record)
    assert without_traceback(record)
    assert logging.Formatter().format(record) == "failed"


def test_an_example_of_an_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ConnectionError("closed")
    except ConnectionError:
        print_without_traceback(traceback.format_exc())
    print_without_traceback()
    print_without_traceback("\nFailed the last 3 attempts.")
    assert capsys.readouterr().out == "ConnectionError: closed\nFailed the last 3 attempts.\n"
