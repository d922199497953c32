"""Functions from a window's feature frames to the model input, without learned parameters."""
