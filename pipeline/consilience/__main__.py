"""The command line as a module: ``python -m consilience …``."""

from __future__ import annotations

from consilience.cli import main

if __name__ == "__main__":
    main()
