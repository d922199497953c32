"""File formats; a reader knows no sensor, no dataset and no parameters."""
