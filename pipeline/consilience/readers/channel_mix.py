"""Mixing the channels of a sound: silent and inverted channels, and sound in a wrong unit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from consilience.core.errors import RecordingError

Array = NDArray[np.float32]

SILENT = 1e-4  # peak, full scale 1: a few steps of 16-bit sound
FAINT = 0.01  # of the loudest channel's level: 40 dB below, the hiss of an open input
INVERTED = -0.5  # correlation below which two channels cancel when they are averaged
FULL_SCALE = 0.9999
CLIPPED_FRACTION = 1e-3  # share of samples at full scale from which it is reported
HEADROOM = 16.0  # full scales up to which float samples are plausible: 24 dB above 1
STEPS = {16: 2.0**15, 24: 2.0**23, 32: 2.0**31}  # full scale of integer samples by bit depth


class ChannelStatistics:
    """Running statistics of the channels of a sound, and what they mean for its mix.

    Parameters
    ----------
    path : Path
        The sound's file, for the messages.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.n_samples = self.n_full = 0
        self.equal = True
        self.peaks = np.zeros(0)
        self.sums = np.zeros(0)
        self.products = np.zeros((0, 0))

    def add(self, block: Array) -> None:
        """Add samples, shape (n_channels, n_samples); NaN is ignored.

        Raises
        ------
        RecordingError
            If the number of channels changes.
        """
        n_channels = block.shape[0]
        if not self.peaks.size:
            self.peaks, self.sums = np.zeros(n_channels), np.zeros(n_channels)
            self.products = np.zeros((n_channels, n_channels))
        if n_channels != self.peaks.size:
            raise RecordingError(
                f"the number of channels changes from {self.peaks.size} to {n_channels}",
                str(self.path),
                "export it again",
            )
        # `fmax` and `fmin` ignore the NaN of damaged sound.
        highest, lowest = (f.reduce(block, axis=1, initial=0) for f in (np.fmax, np.fmin))
        peaks = np.fmax(highest, -lowest)
        self.peaks = np.fmax(self.peaks, peaks)
        self.n_samples += block.shape[1]
        if (peaks >= FULL_SCALE).any():
            self.n_full += int((np.abs(block) >= FULL_SCALE).any(axis=0).sum())
        if n_channels > 1:
            self.equal = self.equal and bool((block == block[0]).all())
            present = np.nan_to_num(block)
            self.sums += present.sum(axis=1, dtype=np.float64)
            self.products += present @ present.T

    @property
    def divisor(self) -> float:
        """Full scale of the samples: 1, or that of the integers that were not divided by theirs.

        Raises
        ------
        RecordingError
            If the samples exceed full scale at every bit depth.
        """
        peak = float(self.peaks.max(initial=0))
        if peak <= HEADROOM:
            return 1.0
        for full_scale in STEPS.values():
            if peak <= full_scale:
                return full_scale
        raise RecordingError(
            f"the sound reaches {peak:.3g} times full scale",
            str(self.path),
            "export it within -1 and 1",
        )

    def weights(self) -> Array | None:
        """Return the weight of each channel, shape (n_channels,), or None if all are equal.

        Silent channels are left out, so that they do not lower the level. Channels that are
        opposite to the loudest one are inverted, so that they do not cancel it.
        """
        signs = self._audible() * np.where(self._inverted(), -1, 1)
        if (signs == 1).all() or not signs.any():
            return None
        weights: Array = (signs / np.abs(signs).sum()).astype(np.float32)
        return weights

    def findings(self) -> list[str]:
        """Return findings on the layout of the channels, opposite channels, and the unit."""
        if not self.peaks.size:
            return ["no samples"]
        findings = self._layout()
        inverted = np.flatnonzero(self._inverted()) + 1
        if inverted.size:
            numbers = " and ".join(map(str, inverted))
            findings.append(f"opposite phase: channel {numbers}, inverted before averaging")
        if self.divisor != 1:
            bits = next(bits for bits, scale in STEPS.items() if scale == self.divisor)
            findings.append(
                f"samples reach {self.peaks.max():.0f} times full scale: read as {bits}-bit steps"
            )
        elif self.n_full > CLIPPED_FRACTION * self.n_samples:
            share = 100 * self.n_full / self.n_samples
            findings.append(f"{share:.1f} % of the samples at full scale")
        return findings

    def _audible(self) -> NDArray[np.bool_]:
        audible = self.peaks / self.divisor >= SILENT
        if audible.size > 1:
            deviations = np.sqrt(np.diag(self._covariance()))
            audible &= deviations >= FAINT * deviations.max()
        return np.asarray(audible)

    def _inverted(self) -> NDArray[np.bool_]:
        """Return which audible channels are opposite to the loudest one."""
        if self.peaks.size < 2:
            return np.zeros(self.peaks.size, bool)
        covariance = self._covariance()
        deviations = np.sqrt(np.diag(covariance))
        loudest = int(np.argmax(deviations))
        limit = INVERTED * deviations * deviations[loudest]
        return np.asarray((covariance[loudest] < limit) & self._audible())

    def _covariance(self) -> NDArray[np.float64]:
        """Return the covariance of the channels, whose offsets would correlate otherwise."""
        n_samples = max(self.n_samples, 1)
        offsets = self.sums / n_samples
        covariance: NDArray[np.float64] = self.products / n_samples - np.outer(offsets, offsets)
        # Rounding may leave a variance below 0.
        np.fill_diagonal(covariance, np.maximum(np.diag(covariance), 0))
        return covariance

    def _layout(self) -> list[str]:
        audible = self._audible()
        layout = {1: "mono", 2: "stereo"}.get(audible.size, f"{audible.size} channels")
        if not audible.any():
            return [f"{layout}, silent throughout"]
        if not audible.all():
            silent = " and ".join(str(number) for number in np.flatnonzero(~audible) + 1)
            return [f"{layout}, silent: channel {silent}"]
        if audible.size > 1:
            return [f"{layout}, all channels alike" if self.equal else f"{layout}, averaged"]
        return []
