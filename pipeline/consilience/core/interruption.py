"""Reports an interruption in one line, as soon as it is imported.

A stage imports this module before any library: their imports take seconds, in which a traceback
would be printed and the parent may end.
"""

from __future__ import annotations

import os
import sys
from types import TracebackType

PARENT = os.getppid()
INTERRUPTED = "error: interrupted; 'dvc repro' continues"


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Report an interruption and a panic in one line, and other exceptions as Python does."""
    if issubclass(kind, KeyboardInterrupt):
        print(INTERRUPTED, file=sys.stderr, flush=True)
    elif kind.__name__ == "PanicException":  # of Polars, for example without memory
        what = " ".join(str(error).split())[:200]
        print(f"error: a library failed: {what} (is there enough memory?)", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _report
