"""Frozen networks whose weights are distributed in Python packages."""
