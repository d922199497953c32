"""Everything that computes: raw recordings in, a trained and evaluated model out."""
