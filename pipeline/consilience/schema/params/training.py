"""Parameters of training."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from consilience.schema.params.base import Section


class TrainingParams(Section):
    """Training budget and augmentations, equal for all methods."""

    KEY = "training"

    seeds: list[int] = Field([0, 1, 2], min_length=1)
    epochs: int = Field(20, ge=1)
    patience: int = Field(8, ge=1, description="epochs without improvement before training stops")
    refit: bool = Field(
        True, description="train anew on training and validation subjects, for as many epochs"
    )
    epoch_steps: int = Field(2, ge=1, description="least number of steps per epoch")
    batch_size: int = Field(128, ge=1)
    learning_rate: float = Field(3e-3, gt=0)
    weight_decay: float = Field(0.1, ge=0)
    width: int = Field(64, ge=1, le=8192)
    dropout: float = Field(0.4, ge=0, lt=1)
    head: Literal["hidden", "linear"] = Field(
        "hidden", description="linear: no hidden layer after the encoders"
    )
    modality_dropout: float = Field(0.3, ge=0, lt=1)
    baseline: Literal["none", "recording", "person", "running", "enrolment"] = Field(
        "none", description="subtracted from a person's inputs; running: mean of the windows so far"
    )
    enrolment: str = Field("", description="trial of the baseline if it is enrolment")
    enrolment_s: float | None = Field(
        None, gt=0, description="only its first seconds; null: the whole trial"
    )
    scale: Literal["deviation", "robust"] = Field(
        "deviation", description="of inputs: standard deviation, or median absolute deviation"
    )
    clip: float = Field(5.0, gt=0, description="largest input, in units of the scale")
    balance_classes: bool = Field(
        False, description="repeat windows of rare classes until all classes are as frequent"
    )
    noise: float = Field(
        1.0, ge=0, description="largest augmentation noise, in standard deviations"
    )
    feature_dropout: float = Field(0.2, ge=0, lt=1)
    corrupted: float = Field(
        0.0, ge=0, le=1, description="share of each sensor's training windows that is corrupted"
    )
    held_out: list[str] = Field(
        [], description="kinds of corruption kept for the test, unseen by training and calibration"
    )
    coverage: float = Field(
        0.9, gt=0, lt=1, description="of prediction sets and intervals, on clean windows"
    )
