"""Parameters of coherence transfer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from consilience.schema.params.plugins import TransferParams


class Params(TransferParams):
    """Every part can be switched off: by a weight of 0, ``false`` or ``off``."""

    unimodal: float = Field(1.0, ge=0, description="weight of the unimodal losses")
    evidence: float = Field(
        0.2, ge=0, description="weight of the prototypes' loss; 0: vacuity is the entropy"
    )
    agreement_head: float = Field(
        0.5, ge=0, description="weight of the agreement head's loss; 0: none"
    )
    modality_subsets: bool = Field(True, description="mix the predictions of all modality subsets")
    label_correction: Literal["auto", "on", "off"] = Field(
        "auto", description="correct labels; auto: if they are estimated to be unreliable"
    )
    gce_q: float = Field(
        0.4, ge=0, le=1, description="q of the loss on corrected labels; 0: cross-entropy"
    )
    min_label_reliability: float = Field(
        0.85, ge=0, le=1, description="label reliability below which auto corrects"
    )
