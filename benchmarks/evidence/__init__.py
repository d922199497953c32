"""Experiments: what the training is told, which methods run, and the tables of their results."""
