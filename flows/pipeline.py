"""The Prefect flow of the package, as ``python -m flows.pipeline``."""

from consilience.core import termination

if __name__ == "__main__":
    termination.exit_at_signals()  # before the other import, which takes seconds

from consilience.flows.pipeline import main, pipeline

__all__ = ["main", "pipeline"]

if __name__ == "__main__":
    main()
