"""Prefect's observers of cancelled and suspended runs, whose lines have no traceback.

They log one when the server restarts, in the worker and in each run. What they would pass on is
looked up by the run itself, see `stopping`.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import partial

OBSERVERS = ("prefect.FlowRunCancellingObserver", "prefect.FlowRunSuspendingObserver")


def quiet() -> None:
    """Take the tracebacks off what the observers log in this process."""
    for name in OBSERVERS:
        logging.getLogger(name).addFilter(without_traceback)
    # They print what failed beside the log. The name is internal: another version prints it again.
    with suppress(ImportError, AttributeError):
        from prefect._internal import _observation_delivery as delivery

        loop = partial(delivery.critical_service_loop, printer=print_without_traceback)
        delivery.critical_service_loop = loop


def print_without_traceback(text: str = "") -> None:
    """Print a text, of a traceback its last line only."""
    lines = text.strip().splitlines()
    if lines:
        print(lines[-1] if "Traceback (most recent call last)" in text else text.strip())


def without_traceback(record: logging.LogRecord) -> bool:
    """Take the traceback off a record."""
    record.exc_info = record.exc_text = None
    return True
