"""One run of the stages in this process, as ``python -m consilience.flows`` in the project."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from consilience.core import termination

if __name__ == "__main__":
    termination.exit_at_signals()  # before the other imports, which take seconds
    if find_spec("prefect") is None:
        sys.exit("error: Prefect is not installed (pip install 'consilience[prefect]')")
    from consilience.flows.pipeline import main

    main()
