"""Frozen networks whose weights ship in packages."""
