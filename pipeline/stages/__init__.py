"""Entry points of the DVC stages: each parses, calls and writes."""
