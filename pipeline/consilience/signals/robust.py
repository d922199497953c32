"""Constants of robust statistics."""

from __future__ import annotations

# Ratio of the standard deviation of a normal distribution to its median absolute deviation:
# 1 / Phi^-1(3/4), rounded.
MAD_TO_SD = 1.4826
