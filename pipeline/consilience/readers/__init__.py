"""File formats; readers are independent of sensors, datasets and parameters."""
