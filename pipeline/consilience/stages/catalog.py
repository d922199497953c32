"""Stage ``catalog``: one row per recording."""

from __future__ import annotations

from consilience.ingest.catalog import write_catalog

stage = write_catalog
