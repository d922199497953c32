"""Prefect's worker without the tracebacks of a lost connection.

As ``python -m consilience.flows.prefect_worker worker start …``.
"""

from __future__ import annotations

import sys

from consilience.flows import observers


def main() -> None:
    """Run the command line of Prefect."""
    observers.quiet()
    from prefect.cli import app  # slow to import

    sys.argv[0] = "prefect"
    app()


if __name__ == "__main__":
    main()
