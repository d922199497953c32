"""Metrics, calibration, statistics and the evaluation protocol."""
