"""Benchmarks of re-annotation: simulated campaigns, and a round trip through Label Studio."""
