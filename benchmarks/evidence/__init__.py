"""The study behind ``docs/evidence``: experiments, claims and their pages, a DVC project."""
