"""Stage ``catalog``: ``python -m consilience.stages.catalog``."""

from __future__ import annotations

from consilience import stages
from consilience.ingest.catalog import write_catalog

if __name__ == "__main__":
    stages.run(write_catalog)
