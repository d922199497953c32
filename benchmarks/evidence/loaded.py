"""Corpora whose model inputs are in memory."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilience.schema.constants import CLEAN
from consilience.training.conditioned import Prepared
from consilience.windows.store import Corpus


@dataclass(frozen=True, eq=False, kw_only=True)
class LoadedCorpus(Corpus):
    """A corpus whose model inputs are in memory.

    Attributes
    ----------
    prepared : mapping of str to (mapping of str to Tensor)
        By modality and variant.
    """

    prepared: Prepared

    def windows(self, modality: str, variant: str = CLEAN) -> NDArray[np.float32]:
        """Return the model inputs of a modality, not a copy of them; see `Corpus.windows`."""
        values: NDArray[np.float32] = self.prepared[modality][variant].numpy()
        return values


@dataclass(frozen=True, eq=False, kw_only=True)
class MismatchedCorpus(LoadedCorpus):
    """A corpus some of whose windows show sensors of other windows.

    Attributes
    ----------
    source : ndarray of int, shape (N, M)
        Position of the window that a sensor shows.
    """

    source: NDArray[np.int64]

    def windows(self, modality: str, variant: str = CLEAN) -> NDArray[np.float32]:
        """Return the model inputs of a modality; see `Corpus.windows`."""
        number = self.modalities.index(modality)
        values = super().windows(modality, variant)[self.source[:, number]]
        values[~self.available[:, number]] = 0.0
        return values


def fields_of(corpus: Corpus) -> dict[str, Any]:
    """Return the fields of a corpus by name, those of its subclass not included."""
    return {field.name: getattr(corpus, field.name) for field in fields(Corpus)}
