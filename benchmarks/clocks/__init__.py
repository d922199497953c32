"""Benchmarks of alignment on simulated clocks."""
