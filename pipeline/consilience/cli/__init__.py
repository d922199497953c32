"""The command line: ``consilience …``.

DVC starts a process for every stage; those import neither the other commands nor their library.
"""

from __future__ import annotations

import sys
from functools import partial


def main() -> None:
    """Run the command line; a user's mistake, or what the system refuses, becomes one line."""
    if sys.argv[1:2] == ["stage"]:
        from consilience.cli import stage

        run = partial(stage.main, sys.argv[2:])
    else:
        from consilience.cli.commands import app

        run = partial(app, prog_name="consilience")
    from consilience.core.errors import ConsilienceError, system_error

    try:
        run()
    except (ConsilienceError, MemoryError, OSError) as error:
        line = str(error) if isinstance(error, ConsilienceError) else system_error(error)
        print(f"error: {line}", file=sys.stderr)
        raise SystemExit(1) from None
