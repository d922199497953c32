"""From annotators to soft labels."""
