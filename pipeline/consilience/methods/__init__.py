"""One file per method under comparison."""
