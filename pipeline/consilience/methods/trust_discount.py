"""Trust discounting: each modality's Dirichlet opinion is discounted before Dempster's rule.

Lu et al. 2025, "Navigating conflicting views: harnessing trust for learning" (ICML; arXiv
2406.00958), after the paper's description. Beside its functional opinion, a Dirichlet over the
classes, each view has a referral opinion, a Beta distribution of the trust in it for this window.
Jøsang's probability-sensitive discounting multiplies the belief masses by the projected trust
``t`` and moves the rest to the vacuity: ``b' = t b``, ``u' = 1 - t (1 - u)``.

Simplified: the referral network is a head upon the detached encoding of its view, trained at the
same time as the functional ones, not in stages, to predict whether the view's first class is that
of the label, by the same evidential loss; and through the fused opinion.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from consilience.methods.late_fusion import UnimodalOutput
from consilience.methods.params.trust_discount import Params as TrustDiscountParams
from consilience.methods.tmc import Evidential, affect_loss
from consilience.model.evidence import dempster, discounted, expected_probability
from consilience.model.fusion import encode
from consilience.model.losses import evidential_loss
from consilience.model.types import Batch, Prediction, Windows


class TrustDiscount(Evidential):
    """``L(Dempster's combination of discounted views) + sum_v L(view v) + w sum_v L(trust v)``."""

    Params = TrustDiscountParams

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.referral = nn.ModuleList([self.new_head(self.width, 2) for _ in self.encoders])

    def _outputs(
        self, inputs: dict[str, Tensor], available: Tensor
    ) -> tuple[UnimodalOutput, Tensor, Tensor]:
        """Compute the unimodal output, the views (B, M, K) and the referral evidence (B, M, 2)."""
        encodings = encode(self.encoders, inputs, available)
        output = self.heads_output(encodings, available)
        referral = [
            head(encoding.detach()) for head, encoding in zip(self.referral, encodings, strict=True)
        ]
        evidence = F.softplus(torch.stack(referral, 1))
        return output, self.views(output), evidence

    def _fused(self, views: Tensor, referral: Tensor) -> Tensor:
        """Combine the discounted views: evidence (B, K)."""
        return dempster(discounted(views, expected_probability(referral)[..., 0]))

    def _predicted(
        self, output: UnimodalOutput, views: Tensor, referral: Tensor, evidence: Tensor
    ) -> Prediction:
        trust = expected_probability(referral)[..., 0] * output.available
        prediction = self.evidential_prediction(evidence, views, output)
        return prediction._replace(reliability=trust)

    def forward(self, windows: Windows) -> Prediction:
        """Compute the prediction of the discounted views; the reliability is the trust."""
        output, views, referral = self._outputs(*windows)
        return self._predicted(output, views, referral, self._fused(views, referral))

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Compute the evidential losses of the combination, the views and the referral."""
        output, views, referral = self._outputs(batch.inputs, batch.available)
        evidence = self._fused(views, referral)
        has_input, ramp = batch.available.amax(-1), self.ramp(progress)
        loss = evidential_loss(evidence, batch.target, has_input, ramp)
        loss = loss + self.view_losses(views, output, batch, progress)
        for index in range(views.shape[1]):
            right = first_class_is_right(views[:, index].detach(), batch.target)
            weight = batch.available[:, index]
            trust = evidential_loss(referral[:, index], right, weight, ramp)
            loss = loss + self.params.referral * trust
        prediction = self._predicted(output, views, referral, evidence)
        probability = prediction.logits.detach().softmax(-1)
        return loss + affect_loss(output, prediction, batch), probability


def first_class_is_right(evidence: Tensor, target: Tensor) -> Tensor:
    """Return the target of the referral: the label's probability of the view's first class.

    Parameters
    ----------
    evidence : Tensor, shape (B, K)
        Of a view.
    target : Tensor, shape (B, K)
        Rows with NaN are unlabelled.

    Returns
    -------
    Tensor, shape (B, 2)
        Probabilities that the view is right and that it is wrong; NaN where unlabelled.
    """
    first = F.one_hot(evidence.argmax(-1), evidence.shape[-1])
    right = (first * target).sum(-1)
    return torch.stack([right, 1 - right], -1)


method = TrustDiscount
