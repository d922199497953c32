"""Networks that map prepared windows to embeddings."""
