"""Fusion methods, one file each; `base` defines what a method must provide."""
