"""Predictions by seed, and one latent space for all windows."""

from __future__ import annotations

import numpy as np
import pytest

from consilience.query.predictions import latent_inputs, latent_space, seed_means
from consilience.training.augmentation import Run


def test_each_window_has_the_prediction_of_the_runs_that_test_it() -> None:
    logits = np.full((4, 2, 2), np.nan, np.float32)
    runs = [Run(fold, seed) for seed in (0, 1) for fold in (0, 1)]
    logits[0, 0], logits[1, 1] = [0, 0], [np.log(3), 0]  # seed 0: each fold tests one window
    logits[2, 0] = [np.log(4), 0]  # seed 1: the second window is not tested
    means = seed_means(logits, runs)
    assert means.shape == (2, 2, 2)
    np.testing.assert_allclose(means[0], [[0.5, 0.5], [0.75, 0.25]], rtol=1e-6)
    np.testing.assert_allclose(means[1, 0], [0.8, 0.2], rtol=1e-6)
    assert np.isnan(means[1, 1]).all()


def test_a_time_axis_becomes_mean_and_deviation() -> None:
    values = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    np.testing.assert_allclose(latent_inputs(values)[0], [1, 4, 0.8165, 0.8165], atol=1e-4)


def test_the_latent_space_ignores_people_and_missing_sensors() -> None:
    rng = np.random.default_rng(0)
    subject = np.repeat(["a", "b"], 10)
    inputs = {"eeg": rng.normal(size=(20, 4)), "audio": rng.normal(size=(20, 3))}
    available = np.ones((20, 2), bool)
    available[4, 1] = False
    latent = latent_space(inputs, available, subject)
    moved = {**inputs, "eeg": inputs["eeg"] + 50 * (subject == "a")[:, None]}
    moved["audio"] = inputs["audio"].copy()
    moved["audio"][4] = 1e6
    distances = np.linalg.norm(latent[:, None] - latent, axis=-1)
    others = latent_space(moved, available, subject)
    expected = np.linalg.norm(others[:, None] - others, axis=-1)
    np.testing.assert_allclose(distances, expected, atol=1e-8)


@pytest.mark.parametrize("components", [1, 5])
def test_the_latent_space_has_at_most_the_components(components: int) -> None:
    inputs = {"eeg": np.random.default_rng(0).normal(size=(30, 8))}
    shape = latent_space(inputs, np.ones((30, 1), bool), np.zeros(30), components).shape
    assert shape == (30, components)
