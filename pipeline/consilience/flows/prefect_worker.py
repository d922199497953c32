"""Prefect's worker, whose lines about a lost connection have no traceback.

As ``python -m consilience.flows.prefect_worker worker start …``. Its observers of cancelled and
suspended runs log one when the server restarts; what they do is done by the run itself too.
"""

from __future__ import annotations

import logging
import sys

OBSERVERS = ("prefect.FlowRunCancellingObserver", "prefect.FlowRunSuspendingObserver")


def without_traceback(record: logging.LogRecord) -> bool:
    """Take the traceback off a record."""
    record.exc_info = record.exc_text = None
    return True


def main() -> None:
    """Run the command line of Prefect."""
    for name in OBSERVERS:
        logging.getLogger(name).addFilter(without_traceback)
    from prefect.cli import app  # slow to import

    sys.argv[0] = "prefect"
    app()


if __name__ == "__main__":
    main()
