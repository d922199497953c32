import csv
import gzip

import numpy as np
import pytest

from benchmarks.evidence.votes import COUNTS, EMOTIONS, confusion
from consilience.datasets.ravdess import Ravdess

SHOWN = {"1": "voice", "2": "face", "3": "both"}
CODES = dict(zip(("NEU", "HAP", "SAD", "ANG", "FEA", "DIS"), EMOTIONS, strict=True))


@pytest.mark.real_data
def test_counts_are_those_of_the_corpus(real_data):
    counted = {shown: np.zeros((6, 6), int) for shown in COUNTS}
    with gzip.open(real_data / "crema_d/tabulatedVotes.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            intended = EMOTIONS.index(CODES[row["fileName"].split("_")[2]])
            votes = [int(row[name]) for name in "NHSAFD"]
            counted[SHOWN[row[""][0]]][intended] += votes
    for shown, counts in COUNTS.items():
        np.testing.assert_array_equal(counted[shown], counts)


@pytest.mark.parametrize("shown", COUNTS)
def test_every_class_is_named_as_something(shown):
    chances = confusion(Ravdess.classes, shown)
    np.testing.assert_allclose(chances.sum(1), 1)
    assert (chances >= 0).all()


def test_calm_is_confused_as_neutral_is_but_never_with_it():
    chances = confusion(("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust"), "both")
    assert chances[0, 1] == chances[1, 0] == 0
    assert chances[0, 0] == chances[1, 1]
    np.testing.assert_allclose(chances[2, :2], 1310 / 12357 / 2)


def test_a_class_without_votes_keeps_its_name():
    chances = confusion(("happy", "surprised"), "voice")
    np.testing.assert_array_equal(chances[1], [0, 1])
    np.testing.assert_array_equal(chances[0], [1, 0])
