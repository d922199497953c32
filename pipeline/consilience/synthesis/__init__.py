"""The demonstration corpus: simulated people, real file formats."""
