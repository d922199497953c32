"""Encoder of mean and standard deviation over time."""

from __future__ import annotations

import torch
from torch import Tensor

from consilience.encoders.functionals import FunctionalsEncoder


class MomentsEncoder(FunctionalsEncoder):
    """Functionals encoder over mean and standard deviation, for frames that are summaries."""

    def prepare(self, windows: Tensor) -> Tensor:
        """Return mean and standard deviation, shape (n_windows, 2 n_features), of valid frames."""
        valid = windows.isfinite()
        n = valid.sum(1).clamp(min=1)
        mean = torch.where(valid, windows, 0.0).sum(1) / n
        centred = torch.where(valid, windows - mean[:, None], 0.0)
        return torch.cat([mean, (centred.square().sum(1) / n).sqrt()], 1)


encoder = MomentsEncoder
