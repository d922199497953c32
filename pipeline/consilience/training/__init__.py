"""Training shared by every method: data, trainer, calibration, bundles."""
