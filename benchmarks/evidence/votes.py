"""Confusions of human observers between acted emotions: counts of the votes on CREMA-D.

Contains information from CREMA-D (Cao et al. 2014, IEEE Trans. Affective Computing 5(4):377-390),
which is made available under the Open Database License (ODbL 1.0), its content under the Database
Contents License (DbCL 1.0). The counts are sums over ``processedResults/tabulatedVotes.csv``, a
row per clip; no recording is part of this project. They stay under the ODbL.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

EMOTIONS = ("neutral", "happy", "sad", "angry", "fearful", "disgust")

# COUNTS[medium][intended][voted], both in the order of EMOTIONS.
COUNTS = {
    "voice": (
        (7807, 207, 714, 396, 514, 602),
        (5198, 3341, 381, 809, 942, 869),
        (6252, 153, 2947, 221, 1363, 829),
        (2080, 225, 130, 6289, 602, 2496),
        (4446, 345, 1611, 745, 3726, 736),
        (4369, 319, 1117, 1403, 1065, 3319),
    ),
    "face": (
        (7500, 444, 839, 466, 427, 811),
        (1058, 10829, 83, 106, 113, 165),
        (4996, 194, 3924, 416, 1472, 1221),
        (1729, 344, 301, 6933, 555, 2341),
        (2628, 186, 1682, 1100, 5329, 1249),
        (717, 155, 2463, 984, 1253, 6641),
    ),
    "both": (
        (8257, 193, 567, 399, 515, 551),
        (1310, 10564, 46, 87, 193, 157),
        (4814, 69, 4098, 247, 2108, 919),
        (1044, 100, 116, 8001, 509, 2476),
        (2260, 135, 1613, 562, 6971, 712),
        (1003, 78, 1245, 924, 1553, 7382),
    ),
}
SAME_AS = {"calm": "neutral"}


def confusion(classes: Sequence[str], medium: str) -> NDArray[np.float64]:
    """Return the probability that an observer of each class votes for each class.

    Calm, which CREMA-D lacks, has the votes of neutral; other classes' votes for neutral are
    divided equally between the two, and neither is ever mistaken for the other. A class without
    a counterpart (surprised) always gets the right votes, and no other class gets votes for it.

    Parameters
    ----------
    classes : sequence of str
    medium : str
        What the voters heard or saw: ``"voice"``, ``"face"`` or ``"both"``.

    Returns
    -------
    ndarray, shape (K, K)
        Rows: intended class; each sums to 1.
    """
    voted = np.array(COUNTS[medium], float)
    voted /= voted.sum(1, keepdims=True)
    counterparts = [SAME_AS.get(name, name) for name in classes]
    positions = [EMOTIONS.index(name) if name in EMOTIONS else None for name in counterparts]
    result = np.eye(len(classes))
    for row, intended in enumerate(positions):
        if intended is None:
            continue
        for column, vote in enumerate(positions):
            if vote is None:
                continue
            if vote == intended:
                result[row, column] = voted[intended, vote] if row == column else 0.0
            else:
                result[row, column] = voted[intended, vote] / positions.count(vote)
        result[row] /= result[row].sum()
    return result
