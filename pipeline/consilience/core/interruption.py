"""Reports an interruption, and a limit of memory, in one line, as soon as it is imported.

A stage imports this module before any library: their imports take seconds, in which a traceback
would be printed and the parent may end.
"""

from __future__ import annotations

import os
import resource
import sys
from types import TracebackType

PARENT = os.getppid()
INTERRUPTED = "error: interrupted; 'dvc repro' continues"
ADDRESS_SPACE_GIB = 3  # below, libraries abort while they are imported


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Report an interruption and lack of memory in one line, other exceptions as Python does."""
    if issubclass(kind, KeyboardInterrupt):
        print(INTERRUPTED, file=sys.stderr, flush=True)
    elif kind.__name__ == "PanicException" or issubclass(kind, MemoryError):  # a panic of Polars
        what = " ".join(str(error).split())[:200] or kind.__name__
        print(f"error: a library failed: {what} (is there enough memory?)", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def check_address_space() -> None:
    """End the process in one line if ``ulimit -v`` is too low for the libraries."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < ADDRESS_SPACE_GIB * 2**30:
        sys.exit(
            f"error: a process may use {limit / 2**30:.1f} GiB of address space, and "
            f"{ADDRESS_SPACE_GIB} GiB are needed (ulimit -v unlimited)"
        )


sys.excepthook = _report
check_address_space()
