"""Scores windows one by one, by the functions that predict recordings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consilience.evaluation.predict import LoadedModel
from consilience.live.sensors import Sensor, sensors_of
from consilience.prediction.run import NO_ROLE, WHEN, predict_windows, with_all_windows
from consilience.schema.constants import CLEAN
from consilience.schema.params.base import validated
from consilience.schema.params.windows import WindowParams
from consilience.schema.tables import Labels, Splits, frame_of
from consilience.training.baseline import RunningSums
from consilience.training.conditioned import load_windows
from consilience.windows.cutting import COVERAGE, Frames, cut_frames
from consilience.windows.layout import WHOLE_SESSION, Window
from consilience.windows.store import Corpus

SUBJECT = SESSION = "live"
EMPTY = RunningSums()
ENROLMENT_S = 60.0  # if the training's enrolment is a whole trial

Inputs = dict[str, NDArray[np.float32]]  # shape (1, ...), by sensor


@dataclass(frozen=True, eq=False)
class WindowInMemory(Corpus):
    """A single window, whose model inputs are in memory.

    Attributes
    ----------
    inputs : dict of str to ndarray of float32, shape (1, ...)
    """

    inputs: Inputs = field(default_factory=dict)

    def windows(self, modality: str, variant: str = CLEAN) -> NDArray[np.float32]:
        """Return the model inputs of a modality, shape (1, ...)."""
        return self.inputs[modality]

    def input_shape(self, modality: str) -> tuple[int, ...]:
        """Return the shape of a modality's inputs of one window."""
        return self.inputs[modality].shape[1:]


@dataclass(frozen=True)
class Scored:
    """A window with its prediction.

    Attributes
    ----------
    row : dict
        Columns of the predictions; see docs/prediction.md.
    available : dict of str to bool
        Whether a sensor covers the window.
    inputs : dict of str to ndarray
        Model inputs of the sensors that do.
    """

    row: dict[str, Any]
    available: dict[str, bool]
    inputs: Inputs


class Scorer:
    """Predictions of a model for windows in the order of time.

    Parameters
    ----------
    model : LoadedModel
    """

    def __init__(self, model: LoadedModel) -> None:
        self.model, card = model, model.card
        self.sensors: list[Sensor] = sensors_of(card)
        self.settings = validated(
            WindowParams, card["recipe"]["windows"], "card.json", ("windows",)
        )
        self.length_s = self.settings.length_s or self.settings.max_length_s
        self.hop_s = self.settings.hop_s
        self.baseline = model.training.baseline
        self.enrolment_s = model.training.enrolment_s or ENROLMENT_S
        self.sums = RunningSums()
        self._pending: dict[int, Inputs] = {}  # of windows that may be scored again
        self._none = self._predictions(*self._empty(self.window(0))).head(0)

    def window(self, number: int) -> Window:
        """Return a window by its number."""
        start_s = number * self.hop_s
        return Window(SESSION, WHOLE_SESSION, start_s, start_s + self.length_s)

    def score(self, number: int, recorded: Mapping[str, Frames]) -> Scored:
        """Predict a window from feature frames.

        Parameters
        ----------
        number : int
            Of the window, from 0. It is one more reference of the windows after it, in the place
            of what was scored under its number before.
        recorded : mapping of str to Frames
            By sensor; without those that are not received.
        """
        window = self.window(number)
        cutters = [sensor.cutter for sensor in self.sensors]
        arrays = cut_frames(recorded, [window], cutters, self.settings.min_coverage)
        available = arrays[COVERAGE][0] >= self.settings.min_coverage
        names = [sensor.name for sensor in self.sensors]
        covered = {name: bool(has) for name, has in zip(names, available, strict=True)}
        _, empty, _ = self._empty(window)
        inputs = {
            name: arrays[name] if available.any() and covered[name] else empty[name]
            for name in names
        }
        present = {name: inputs[name] for name in names if covered[name]}
        if self.baseline == "enrolment" and window.end_s <= self.enrolment_s:
            row = self._unpredicted(window, NO_ROLE[True])
        elif not available.any():
            row = self._unpredicted(window)
        else:
            sums = self._sums_before(number)
            row = self._predictions(window, inputs, available, sums).row(0, named=True)
        if self.baseline != "enrolment" or window.end_s <= self.enrolment_s:
            self._pending[number] = present
        return Scored(row, covered, present)

    def settle(self, number: int) -> None:
        """Add a window, which will not be scored again, to the references for good."""
        self.sums = self.sums.plus(self._pending.pop(number, {}))

    def _sums_before(self, number: int) -> RunningSums:
        sums = self.sums
        for pending in sorted(self._pending):
            if pending < number:
                sums = sums.plus(self._pending[pending])
        return sums

    def _empty(self, window: Window) -> tuple[Window, Inputs, NDArray[np.bool_]]:
        """Return the inputs of a window without any sensor."""
        shapes: dict[str, list[int]] = self.model.card["inputs"]
        inputs = {name: np.zeros((1, *shape), np.float32) for name, shape in shapes.items()}
        return window, inputs, np.zeros(len(self.sensors), bool)

    def _unpredicted(self, window: Window, verdict: str | None = None) -> dict[str, Any]:
        """Return the row of a window about which nothing can be stated."""
        laid = _index(window).select(WHEN)
        row = with_all_windows(self._none, laid, self.model.card).row(0, named=True)
        return {**row, "verdict": verdict} if verdict else row

    def _predictions(
        self,
        window: Window,
        inputs: Inputs,
        available: NDArray[np.bool_],
        sums: RunningSums = EMPTY,
    ) -> pl.DataFrame:
        card = self.model.card
        classes = tuple(card["classes"])
        # Without a sensor the network has nothing to read: its prediction is not used.
        used = available if available.any() else np.ones_like(available)
        corpus = WindowInMemory(
            folder=Path(),
            corrupted=Path(),
            modalities=tuple(inputs),
            classes=classes,
            dataset=card["dataset"],
            features=card["features"],
            variants={name: () for name in inputs},
            index=_index(window),
            splits=_splits(self.model),
            available=used[None],
            target=np.full((1, len(classes)), np.nan, np.float32),
            affect=np.full((1, 2), np.nan, np.float32),
            encodings=card.get("encodings", {}),
            inputs=inputs,
        )
        references = {}
        if self.baseline != "none":
            references = sums.references(inputs, causal=self.baseline != "enrolment")
        return predict_windows(self.model, corpus, load_windows(corpus, []), references)


def _index(window: Window) -> pl.DataFrame:
    row: dict[str, object] = {
        "window": window.name,
        "session": SESSION,
        "subject": SUBJECT,
        "trial": window.trial,
        "start_s": window.start_s,
        "end_s": window.end_s,
        "n_annotators": 0,
    }
    return frame_of([row], Labels)


def _splits(model: LoadedModel) -> pl.DataFrame:
    folds = sorted({run.fold for run in model.runs})
    rows: list[dict[str, object]] = [
        {"fold": fold, "subject": SUBJECT, "role": "test"} for fold in folds
    ]
    return frame_of(rows, Splits)
