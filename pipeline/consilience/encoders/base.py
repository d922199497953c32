"""The base class of encoders: they map a window of frames to a vector."""

from __future__ import annotations

from torch import Tensor, nn


class Encoder(nn.Module):
    """Encodes windows of one modality as vectors, in a fixed and a learned step.

    The fixed step, `prepare`, runs once per dataset; the learned one, `forward`, in every epoch.

    A class derives from this one in a file of its own, as the module-level ``encoder``. It is
    constructed with ``n_features``, ``width`` and ``dropout``, as `FunctionalsEncoder`, and the
    options in `ModalityParams.encoding` as keywords.
    """

    def prepare(self, windows: Tensor) -> Tensor:
        """Compute the input of the learned step; it has no parameters.

        Parameters
        ----------
        windows : Tensor of float32, shape (n_windows, n_frames, n_features)
            NaN rows are missing frames.

        Returns
        -------
        Tensor of float32, shape (n_windows, ...)
            Finite wherever a window has a valid frame.
        """
        raise NotImplementedError

    def forward(self, prepared: Tensor) -> Tensor:
        """Encode prepared windows, shape (batch, ...), as (batch, width)."""
        raise NotImplementedError
