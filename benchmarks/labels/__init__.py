"""Benchmarks of annotation: reaction lags and crowd labels."""
