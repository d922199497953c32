from __future__ import annotations

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.evidence.label_errors import label_errors
from benchmarks.evidence.scenarios import NoisyLabels, Scenario
from consilience.training.augmentation import Run


def test_wrong_labels_score_high_if_the_estimates_are_the_truth(corpus):
    labels = NoisyLabels(corpus, Scenario(noise="symmetric", rate=0.4))
    runs = [Run(0, 0), Run(1, 0)]
    truth = np.stack([corpus.target, np.full_like(corpus.target, 0.25)])
    errors = label_errors(truth, labels, runs, corpus)
    np.testing.assert_allclose(errors["auroc"], [1.0, 0.5])
    train = corpus.members(0, "train")
    assert np.isfinite(errors["score"][0, train]).all()
    assert np.isnan(np.delete(errors["score"][0], train)).all()


def test_the_area_is_exact_whatever_the_number_of_windows(corpus):
    labels, runs = NoisyLabels(corpus, Scenario(noise="symmetric", rate=0.4)), [Run(0, 0)]
    rng = np.random.default_rng(1)
    estimates = rng.dirichlet(np.ones(4), (1, len(corpus.index))).astype(np.float32)
    errors = label_errors(estimates, labels, runs, corpus)
    train = corpus.members(0, "train")
    area = roc_auc_score(errors["wrong"][0, train], errors["score"][0, train])
    np.testing.assert_allclose(errors["auroc"], [area], rtol=1e-12)
