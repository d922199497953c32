"""Entry points of the DVC stages: each parses, calls and writes."""

from __future__ import annotations

import sys
from collections.abc import Callable

from consilience.core.errors import ConsilienceError


def run(stage: Callable[..., None]) -> None:
    """Run a stage's `main` with the command line's words; a user's mistake is one line, exit 1."""
    try:
        stage(*sys.argv[1:])
    except ConsilienceError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
