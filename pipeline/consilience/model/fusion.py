"""Networks that methods share: heads over encodings, and the sum of unimodal and joint logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from consilience.model.losses import cross_entropy
from consilience.model.uncertainty import fuse_gaussians

N_AFFECT = 2  # valence, arousal


def encode(
    encoders: nn.ModuleDict, inputs: Mapping[str, Tensor], available: Tensor
) -> list[Tensor]:
    """Encode each modality.

    Parameters
    ----------
    encoders : ModuleDict
        By modality, in the corpus's order.
    inputs : mapping of str to Tensor, shape (B, ...)
    available : Tensor, shape (B, M) or (Q * B, M)
        Of Q sets of modalities for the same windows, all windows under the first set first.

    Returns
    -------
    list of Tensor, shape (B, W) or (Q * B, W)
        Exactly 0 where a modality is not available.
    """
    encodings = (
        repeated(encoder(inputs[name]), available.shape[0]) for name, encoder in encoders.items()
    )
    # `where` and not a product: the input of a missing modality may be NaN.
    return [
        torch.where(available[:, index, None] > 0, encoding, 0.0)
        for index, encoding in enumerate(encodings)
    ]


def repeated(values: Tensor, n_rows: int) -> Tensor:
    """Return values (B, ...) of windows for each of Q sets of modalities, ``n_rows = Q * B``."""
    # Not `len`, which would fix the number of windows in an exported graph.
    if values.shape[0] == n_rows:
        return values
    return values.repeat(n_rows // values.shape[0], *[1] * (values.ndim - 1))


def log_input_energy(
    inputs: Mapping[str, Tensor], available: Tensor, modalities: Sequence[str]
) -> Tensor:
    """Compute the log mean square of each modality's standardised input.

    Parameters
    ----------
    inputs : mapping of str to Tensor, shape (B, ...)
    available : Tensor, shape (B, M) or (Q * B, M)
        As in `encode`.
    modalities : sequence of str
        In the corpus's order.

    Returns
    -------
    Tensor, shape (B, M) or (Q * B, M)
        That of an input of zeros where not available.
    """
    energy = torch.stack([inputs[name].flatten(1).square().mean(1) for name in modalities], 1)
    of_sets = repeated(energy, available.shape[0])
    return torch.log(torch.where(available > 0, of_sets, 0.0) + 0.01)  # finite for zeros


@dataclass(frozen=True)
class Heads:
    """Factory of the heads over encodings, of one modality or of all.

    Attributes
    ----------
    width : int
        Of the hidden layer.
    dropout : float
        Of the inputs: without it even a linear head overfits a few hundred windows.
    hidden : bool
        Whether there is a hidden layer.
    """

    width: int
    dropout: float
    hidden: bool = True

    def __call__(self, n_inputs: int, n_outputs: int) -> nn.Sequential:
        """Return a new head from (B, n_inputs) to (B, n_outputs)."""
        if not self.hidden:
            return nn.Sequential(nn.Dropout(self.dropout), nn.Linear(n_inputs, n_outputs))
        return nn.Sequential(
            nn.Dropout(self.dropout),
            nn.Linear(n_inputs, self.width),
            nn.GELU(),
            nn.Linear(self.width, n_outputs),
        )


class SummedOutput(NamedTuple):
    """Output of a `SummedNetwork` or an `ExpertNetwork`.

    Attributes
    ----------
    logits : Tensor, shape (B, K)
        Sum over the available modalities and, if there are several, the joint head; or the pool.
    unimodal : Tensor, shape (B, M, K)
        Logits of each modality alone; 0 where not available.
    affect : tuple of Tensor, shape (B, A)
        Mean and log variance, fused by precision.
    unimodal_affect : tuple of Tensor, shape (B, M, A)
    encodings : Tensor, shape (B, M, W)
    """

    logits: Tensor
    unimodal: Tensor
    affect: tuple[Tensor, Tensor]
    unimodal_affect: tuple[Tensor, Tensor]
    encodings: Tensor


class UnimodalNetwork(nn.Module):
    """One encoder and head for each modality.

    Parameters
    ----------
    encoders : mapping of str to Module
        One a modality, in the corpus's order.
    n_classes : int
    width : int
        Numbers in an encoding.
    new_head : Heads
    """

    def __init__(
        self, encoders: Mapping[str, nn.Module], n_classes: int, width: int, new_head: Heads
    ) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.n_classes = n_classes
        self.n_outputs = n_classes + 2 * N_AFFECT
        self.heads = nn.ModuleList([new_head(width, self.n_outputs) for _ in encoders])

    def outputs(
        self, inputs: Mapping[str, Tensor], available: Tensor
    ) -> tuple[list[Tensor], Tensor]:
        """Compute the encodings (B, W) of each modality, and the heads' outputs (B, M, n)."""
        encodings = encode(self.encoders, inputs, available)
        outputs = [head(encoding) for head, encoding in zip(self.heads, encodings, strict=True)]
        return encodings, torch.stack(outputs, 1)


class ExpertNetwork(UnimodalNetwork):
    """One encoder and head for each modality, multiplied as if independent given the class.

    ``p(y | x) ~ prod_m p_m(y | x_m) / p(y)^(n - 1)`` over the n available modalities.

    See `UnimodalNetwork` for the parameters.
    """

    def __init__(
        self, encoders: Mapping[str, nn.Module], n_classes: int, width: int, new_head: Heads
    ) -> None:
        super().__init__(encoders, n_classes, width, new_head)
        self.log_prior = nn.Parameter(torch.zeros(n_classes))

    def forward(self, inputs: Mapping[str, Tensor], available: Tensor) -> SummedOutput:
        """Compute the output for windows; ``logits`` are the product's log probabilities.

        Parameters
        ----------
        inputs : mapping of str to Tensor, shape (B, ...)
        available : Tensor, shape (B, M)
        """
        encodings, outputs = self.outputs(inputs, available)
        unimodal = torch.where(available[..., None] > 0, outputs[..., : self.n_classes], 0.0)
        unimodal_affect = split_affect(outputs[..., self.n_classes :])
        # Detached: the prior learns the class frequencies, whatever the experts predict.
        pooled = log_linear_pool(unimodal, self.prior().detach(), available[:, None])[:, 0]
        affect = fuse_gaussians(*unimodal_affect, available)
        return SummedOutput(pooled, unimodal, affect, unimodal_affect, torch.stack(encodings, 1))

    def prior(self) -> Tensor:
        """Return the logarithm of the class frequencies, (K,), as the training learned them."""
        return self.log_prior.log_softmax(-1)

    def prior_loss(self, target: Tensor) -> Tensor:
        """Compute the cross-entropy of the prior for targets (B, K)."""
        return cross_entropy(self.log_prior.expand_as(target), target)


def log_linear_pool(unimodal: Tensor, log_prior: Tensor, masks: Tensor) -> Tensor:
    """Multiply the experts of each modality subset.

    Every posterior contains the prior; n of them contain it n - 1 times too often.

    Parameters
    ----------
    unimodal : Tensor, shape (B, M, K)
        Logits of the experts.
    log_prior : Tensor, shape (K,) or (B, 1, K)
    masks : Tensor, shape (B, S, M)
        1 for the members of each subset.

    Returns
    -------
    Tensor, shape (B, S, K)
        Not normalised. The prior of a subset without a member.
    """
    count = masks.sum(-1, keepdim=True)
    return masks @ unimodal.log_softmax(-1) - (count - 1) * log_prior


class SummedNetwork(UnimodalNetwork):
    """Sum of unimodal and joint logits: ``sum_m a_m head_m(h_m) + joint(a_1 h_1, ..., a)``.

    The joint head counts only where at least two modalities are available. With a single one the
    output is exactly that of its unimodal head.

    See `UnimodalNetwork` for the parameters.
    """

    def __init__(
        self, encoders: Mapping[str, nn.Module], n_classes: int, width: int, new_head: Heads
    ) -> None:
        super().__init__(encoders, n_classes, width, new_head)
        # The joint head also sees the availability flags: 0 alone could be a value.
        self.joint = new_head((width + 1) * len(encoders), self.n_outputs)

    def forward(self, inputs: Mapping[str, Tensor], available: Tensor) -> SummedOutput:
        """Compute the output for windows.

        Parameters
        ----------
        inputs : mapping of str to Tensor, shape (B, ...)
        available : Tensor, shape (B, M)
        """
        encodings, outputs = self.outputs(inputs, available)
        unimodal = torch.where(available[..., None] > 0, outputs, 0.0)
        joint = self.joint(torch.cat([*encodings, available], -1))
        several = (available.sum(-1, keepdim=True) > 1).to(joint.dtype)
        classes = self.n_classes
        logits = (unimodal.sum(1) + several * joint)[:, :classes]

        # For affect the joint head is one more expert beside the unimodal ones.
        mean, log_variance = split_affect(torch.cat([unimodal, joint[:, None]], 1)[..., classes:])
        affect = fuse_gaussians(mean, log_variance, torch.cat([available, several], 1))
        unimodal_affect = mean[:, :-1], log_variance[:, :-1]
        return SummedOutput(
            logits, unimodal[..., :classes], affect, unimodal_affect, torch.stack(encodings, 1)
        )

    def subset_logits(self, output: SummedOutput, masks: Tensor) -> Tensor:
        """Compute the logits for modality subsets without encoding again; for predictions only.

        Parameters
        ----------
        output : SummedOutput
            Of all available modalities.
        masks : Tensor, shape (B, S, M)
            1 for the members of each subset.

        Returns
        -------
        Tensor, shape (B, S, K)
            Equal to `forward` with the subset as availability.
        """
        several = (masks.sum(-1, keepdim=True) > 1).to(masks.dtype)
        joint = self._joint_of(output.encodings, masks)[..., : self.n_classes]
        return masks @ output.unimodal + several * joint

    def _joint_of(self, encodings: Tensor, masks: Tensor) -> Tensor:
        """Compute the joint head's output, without dropout, for every subset (B, S, n_outputs)."""
        _, first, *others = self.joint
        assert isinstance(first, nn.Linear)
        n_modalities = encodings.shape[1]
        # The first layer is linear: a subset's output is the sum of its members' outputs, so that
        # each modality is multiplied once and not once per subset.
        of_encodings, of_flags = first.weight.split(
            [first.in_features - n_modalities, n_modalities], 1
        )
        weight = of_encodings.unflatten(1, (n_modalities, -1))
        members = torch.einsum("bmw,omw->bmo", encodings, weight) + of_flags.T
        hidden = masks @ members + first.bias
        for layer in others:
            hidden = layer(hidden)
        return hidden


def split_affect(output: Tensor) -> tuple[Tensor, Tensor]:
    """Split an affect head's output into mean and log variance.

    Parameters
    ----------
    output : Tensor, shape (..., 2 A)

    Returns
    -------
    mean, log_variance : Tensor, shape (..., A)
        The variance is limited to a factor of ``e^2`` around the labels' variance of 1. With few
        subjects an unbounded variance vanishes on the training windows, and with it the
        likelihood of new windows.
    """
    mean, log_variance = output.chunk(2, -1)
    return mean, 2 * torch.tanh(log_variance / 2)  # slope 1 at 0, limits of -2 and 2
