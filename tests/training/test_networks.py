from pathlib import Path

import torch

from consilience.core import registry
from consilience.schema.params.training import TrainingParams
from consilience.training.augmentation import Run
from consilience.training.networks import architecture, encoders_for
from consilience.windows.store import load_corpus

RUNS = [Run(0, 0), Run(0, 1), Run(1, 0)]


def test_encoders_follow_the_order_of_the_features() -> None:
    features = {"face_au": ["a", "b"], "audio": ["c"]}
    encoders = encoders_for(features, {}, 4, 0.0)
    assert list(encoders) == ["face_au", "audio"]
    assert len({id(encoder) for encoder in encoders.values()}) == 2


def test_initial_weights_depend_on_fold_and_seed_alone(
    windows_folder: Path, budget: TrainingParams
) -> None:
    corpus, params = load_corpus(windows_folder), registry.params("methods", "hybrid")()
    networks = architecture("hybrid", params, budget, corpus)
    together = networks.untrained(RUNS).state_dict()
    alone = networks.untrained(RUNS[1:2]).state_dict()
    for name, value in alone.items():
        assert torch.equal(value[0], together[name][1])
    assert any(not torch.equal(value[0], value[1]) for value in together.values())
    assert any(not torch.equal(value[0], value[2]) for value in together.values())


def test_a_stack_for_predictions_has_no_teacher(
    windows_folder: Path, budget: TrainingParams
) -> None:
    corpus, params = load_corpus(windows_folder), registry.params("methods", "kd")()
    networks = architecture("kd", params, budget, corpus)
    weights = networks.untrained(RUNS).state_dict()
    trained = networks.trained(weights, len(RUNS)).state_dict()
    removed = {name for name in weights if name not in trained}
    assert removed == {name for name in weights if "/teacher/" in name}
    assert removed
    for name, value in trained.items():
        assert torch.equal(value, weights[name])
