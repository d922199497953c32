"""Catalog, check and ingest: from a dataset to feature frames."""
