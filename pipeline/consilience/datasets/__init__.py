"""Datasets, one file each: the location of recordings, clocks and annotations."""
