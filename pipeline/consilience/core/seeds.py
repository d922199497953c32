"""Random generators seeded by names, so that neither order nor workers change a result."""

from __future__ import annotations

import hashlib

import numpy as np


def seed_from(*names: object) -> int:
    """Return a 63-bit seed that depends on the names alone.

    Parameters
    ----------
    *names : object
        The purpose of the random numbers, for example ``"fold", 3, "seed", 0``.

    Returns
    -------
    int
        Seed in ``[0, 2**63)``, the same on every machine.
    """
    text = "\x1f".join(str(name) for name in names)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(*names: object) -> np.random.Generator:
    """Return a NumPy generator seeded by `seed_from`."""
    return np.random.default_rng(seed_from(*names))
