"""Stage ``ingest``: feature frames of one modality."""

from __future__ import annotations

from consilience.ingest.run import ingest_modality

stage = ingest_modality
