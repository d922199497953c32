import torch
from torch import Tensor, nn
from torch.testing import assert_close

from consilience.model.fusion import ExpertNetwork, Heads, SummedNetwork, log_input_energy
from consilience.model.modality_subsets import modality_subsets

CLASSES, WIDTH, WINDOWS = 4, 8, 6
SENSORS = ("eeg", "audio", "video")


def network() -> SummedNetwork:
    torch.manual_seed(0)
    return SummedNetwork(
        {name: nn.Identity() for name in SENSORS}, CLASSES, WIDTH, Heads(WIDTH, 0.5)
    )


def windows() -> dict[str, Tensor]:
    return {name: torch.randn(WINDOWS, WIDTH) for name in SENSORS}


def test_a_single_modality_uses_its_unimodal_head_alone() -> None:
    output = network().eval()(windows(), torch.tensor([0.0, 1, 0]).expand(WINDOWS, 3))
    assert_close(output.logits, output.unimodal[:, 1], rtol=0, atol=0)
    assert (output.unimodal[:, [0, 2]] == 0).all()


def test_with_several_modalities_the_joint_head_contributes() -> None:
    output = network().eval()(windows(), torch.ones(WINDOWS, 3))
    assert not torch.allclose(output.logits, output.unimodal.sum(1))


def test_every_head_is_regularised_in_training_only() -> None:
    model, given, available = network(), windows(), torch.ones(WINDOWS, 3)
    first, second = model(given, available), model(given, available)
    assert ((first.unimodal != second.unimodal).any(-1).float().mean(0) > 0.5).all()
    assert_close(model.eval()(given, available).logits, model(given, available).logits)


def test_subset_logits_equal_the_network_with_the_members_only() -> None:
    model, given = network().eval(), windows()
    masks = modality_subsets(len(SENSORS)).expand(WINDOWS, -1, -1)
    together = model.subset_logits(model(given, torch.ones(WINDOWS, 3)), masks)
    for number in range(masks.shape[1]):
        assert_close(together[:, number], model(given, masks[:, number]).logits)


def test_windows_under_several_sets_of_modalities_are_encoded_once() -> None:
    model, given = network().eval(), windows()
    sets = torch.tensor([[1.0, 1, 1], [0, 1, 0], [1, 0, 1]]).repeat_interleave(WINDOWS, 0)
    encoded: list[int] = []
    model.encoders["eeg"].register_forward_hook(lambda _, given, __: encoded.append(len(given[0])))
    together = model(given, sets)
    assert encoded == [WINDOWS]
    for number, of_set in enumerate(sets.split(WINDOWS)):
        rows = slice(number * WINDOWS, (number + 1) * WINDOWS)
        assert_close(together.logits[rows], model(given, of_set).logits)


def test_no_windows_give_no_predictions() -> None:
    none = {name: values[:0] for name, values in windows().items()}
    assert network().eval()(none, torch.ones(0, 3)).logits.shape == (0, CLASSES)


def test_unavailable_members_of_a_subset_change_nothing() -> None:
    model, given, available = network().eval(), windows(), torch.tensor([1.0, 0, 1])
    output = model(given, available.expand(WINDOWS, 3))
    masks = (modality_subsets(len(SENSORS)) * available).expand(WINDOWS, -1, -1)
    together = model.subset_logits(output, masks)
    assert_close(together[:, 0], output.logits)
    only_missing = (masks[0].sum(-1) == 0).nonzero()[:, 0]
    assert len(only_missing) == 1
    assert (together[:, only_missing] == 0).all()


def test_input_energy_is_the_log_mean_square_of_available_inputs() -> None:
    given = windows()
    sets = torch.tensor([[1.0, 1, 1], [0, 1, 0]]).repeat_interleave(WINDOWS, 0)
    energy = log_input_energy({**given, "eeg": given["eeg"] * torch.nan}, sets, SENSORS)
    expected = torch.log(given["audio"].square().mean(-1) + 0.01)
    assert_close(energy[:, 1], expected.repeat(2))
    assert_close(energy[WINDOWS:, [0, 2]].exp(), torch.full((WINDOWS, 2), 0.01))
    assert energy[:WINDOWS, 0].isnan().all()


def experts() -> ExpertNetwork:
    torch.manual_seed(1)
    encoders = {name: nn.Linear(5, 4) for name in ("eeg", "audio", "video")}
    return ExpertNetwork(encoders, 4, 4, Heads(4, 0.0, hidden=False)).eval()


def test_experts_are_multiplied_and_the_prior_counts_once() -> None:
    network = experts()
    with torch.no_grad():
        network.log_prior.copy_(torch.tensor([0.3, -0.7, 0.0, 1.0]))
    given = {name: torch.randn(6, 5) for name in ("eeg", "audio", "video")}
    available = torch.tensor([[1.0, 1, 1], [1, 1, 0], [0, 1, 0], [1, 0, 1], [0, 0, 1], [0, 0, 0]])
    output = network(given, available)
    prior = network.log_prior.softmax(-1)
    for window, has in enumerate(available > 0):
        product = prior.clone()
        for posterior in output.unimodal[window][has].softmax(-1):
            product = product * posterior / prior
        expected = product / product.sum()
        assert_close(output.logits[window].softmax(-1), expected)
    alone = network(given, torch.tensor([0.0, 1, 0]).expand(6, 3))
    assert_close(alone.logits.softmax(-1), alone.unimodal[:, 1].softmax(-1))


def test_the_prior_learns_the_class_frequencies_and_the_experts_do_not_change_it() -> None:
    network = experts()
    given = {name: torch.randn(6, 5) for name in ("eeg", "audio", "video")}
    network(given, torch.ones(6, 3)).logits.square().sum().backward()
    assert network.log_prior.grad is None
    target = torch.eye(4)[torch.tensor([0, 0, 0, 1, 2, 3])]
    optimizer = torch.optim.Adam([network.log_prior], 0.1)
    for _ in range(300):
        optimizer.zero_grad()
        network.prior_loss(target).backward()
        optimizer.step()
    assert_close(network.prior().exp(), torch.tensor([3, 1, 1, 1]) / 6, atol=1e-3, rtol=0)
