import numpy as np
import torch

from consilience.training.augmentation import Augmentation, Run, balanced


def make(runs: list[Run], epoch: int = 1) -> Augmentation:
    return Augmentation(runs, epoch, modality_dropout=0.6, noise=1.0, feature_dropout=0.2)


def draw(augmentation: Augmentation, n_runs: int) -> tuple[torch.Tensor, ...]:
    members = [np.arange(10)] * n_runs
    present = torch.ones(n_runs, 20, 3)
    order = augmentation.order(members, 20)
    available = augmentation.available(present)
    windows = augmentation.corrupt(torch.ones(n_runs, 20, 4), available[..., 0])
    return order, available, windows


def test_a_run_draws_the_same_whatever_runs_beside_it() -> None:
    alone = draw(make([Run(2, 7)]), 1)
    beside = draw(make([Run(0, 7), Run(2, 7)]), 2)
    for one, both in zip(alone, beside, strict=True):
        assert torch.equal(one[0], both[1])
        assert not torch.equal(one[0], both[0])


def test_epochs_differ() -> None:
    assert not torch.equal(draw(make([Run(0, 0)], 1), 1)[2], draw(make([Run(0, 0)], 2), 1)[2])


def test_an_epoch_visits_every_window() -> None:
    order = make([Run(0, 0)]).order([np.array([3, 5, 9])], 7)
    assert set(order[0].tolist()) == {3, 5, 9}


def test_a_recorded_modality_is_always_left_and_none_invented() -> None:
    present = (torch.rand(1, 500, 3, generator=torch.Generator().manual_seed(0)) > 0.4).float()
    available = make([Run(0, 0)]).available(present)
    assert (available <= present).all()
    assert torch.equal(available.sum(-1) > 0, present.sum(-1) > 0)
    assert (available.sum(-1) < present.sum(-1)).any()


def test_hidden_windows_are_zero() -> None:
    available = torch.tensor([[1.0, 0.0]])
    windows = make([Run(0, 0)]).corrupt(torch.ones(1, 2, 50), available)
    assert (windows[0, 1] == 0).all()
    assert (windows[0, 0] != 0).any()


def test_with_a_time_axis_a_channel_is_dropped_at_all_times() -> None:
    quiet = Augmentation([Run(0, 0)], 1, modality_dropout=0, noise=0, feature_dropout=0.3)
    windows = quiet.corrupt(torch.ones(1, 40, 6, 9), torch.ones(1, 40))
    assert (windows == windows[..., :1]).all()
    assert 0.2 < (windows[..., 0] == 0).float().mean() < 0.4


def test_balanced_windows_of_all_classes_are_as_frequent_and_none_is_lost() -> None:
    target = np.eye(3, dtype=np.float32)[[0, 0, 0, 0, 1, 2, 1, 0]]
    target[7] = np.nan
    rows = np.array([0, 1, 2, 4, 5, 6, 7])  # 3 × class 0, 2 × class 1, 1 × class 2, 1 unlabelled
    drawn = balanced(rows, target)
    assert set(drawn) == set(rows)
    assert np.bincount(target[drawn[drawn != 7]].argmax(1)).tolist() == [3, 3, 3]
    assert (drawn == 7).sum() == 1
    assert balanced(np.array([7]), target).tolist() == [7]


def test_variants_are_drawn_evenly_for_a_share_of_the_windows() -> None:
    augmentation = Augmentation([Run(0, 0), Run(1, 0)], 1, 0.0, 0.0, 0.0)
    drawn = augmentation.variant((4000,), 0.4, 3)
    assert drawn.shape == (2, 4000)
    counts = torch.bincount((drawn[0] + 1), minlength=4) / 4000
    torch.testing.assert_close(
        counts, torch.tensor([0.6, 0.4 / 3, 0.4 / 3, 0.4 / 3]), atol=0.03, rtol=0
    )
    assert not torch.equal(drawn[0], drawn[1])
    alone = Augmentation([Run(1, 0)], 1, 0.0, 0.0, 0.0).variant((4000,), 0.4, 3)
    assert torch.equal(alone[0], drawn[1])
