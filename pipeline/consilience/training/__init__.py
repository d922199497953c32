"""Splits, data and the training loop shared by every method."""
