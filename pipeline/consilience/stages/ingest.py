"""Stage ``ingest``: ``python -m consilience.stages.ingest MODALITY``."""

from __future__ import annotations

from consilience import stages
from consilience.ingest.run import ingest_modality

if __name__ == "__main__":
    stages.run(ingest_modality)
