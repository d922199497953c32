"""Errors, files, seeds, the registry and workers: what every other package uses."""
