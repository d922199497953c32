"""Entry points of the evidence project's DVC stages."""
