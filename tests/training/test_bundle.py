"""Bundles: the same predictions again, and one line on each kind of damage."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from consilience.core.errors import ConsilienceError
from consilience.evaluation import predict
from consilience.schema.params.training import TrainingParams
from consilience.training.bundle import load_model, save_model
from consilience.training.fit import Fitted
from consilience.windows import conditions
from consilience.windows.store import Corpus, load_corpus
from tests.training.cards import card_of


@pytest.fixture
def corpus(windows_folder: Path) -> Corpus:
    return load_corpus(windows_folder)


@pytest.fixture
def prepared(corpus: Corpus) -> dict[str, dict[str, Tensor]]:
    return {m: {"clean": torch.from_numpy(corpus.windows(m))} for m in corpus.modalities}


@pytest.fixture
def fitted(train: Callable[..., Fitted], budget: TrainingParams) -> Fitted:
    return train(training=budget.model_copy(update={"epochs": 1}))


@pytest.fixture
def bundle(fitted: Fitted, budget: TrainingParams, corpus: Corpus, tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    save_model(folder, fitted, card_of(fitted, corpus, budget), {})
    return folder


def rewritten(folder: Path, **entries: Any) -> Path:
    """Change entries of a bundle's card."""
    path = folder / "card.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))
    return folder


def refused(folder: Path, message: str) -> None:
    with pytest.raises(ConsilienceError, match=message) as raised:
        predict.load_bundle(folder)
    assert "\n" not in str(raised.value)


def test_a_loaded_model_predicts_as_before_and_for_its_own_test_subjects_only(
    fitted: Fitted, bundle: Path, corpus: Corpus, prepared: dict[str, dict[str, Tensor]]
) -> None:
    loaded = predict.load_bundle(bundle, prepared)
    full = conditions.conditions(corpus)[0]
    before = predict.predict([fitted], corpus, prepared, full)
    after = predict.predict([loaded], corpus, prepared, full)
    np.testing.assert_array_equal(before.logits, after.logits)
    assert np.isnan(after.logits[0, corpus.members(loaded.runs[0].fold, "train")]).all()
    with pytest.raises(ConsilienceError, match="trained for audio, face_au"):
        predict.load_bundle(bundle, {"audio": prepared["audio"]})
    cut = {**prepared, "audio": {"clean": prepared["audio"]["clean"][:, :2]}}
    with pytest.raises(ConsilienceError, match=r"trained for audio of shape \[.*, not \[2"):
        predict.load_bundle(bundle, cut)


def test_a_bundle_holds_weights_scaler_and_card(fitted: Fitted, bundle: Path) -> None:
    assert {path.name for path in bundle.iterdir()} == {"model.safetensors", "card.json"}
    stack, scaler, runs, card, _ = load_model(bundle)
    assert not stack.training
    assert runs == fitted.runs
    assert card["method"] == "hybrid"
    for name, value in fitted.stack.state_dict().items():
        assert torch.equal(stack.state_dict()[name], value)
    for name, value in fitted.scaler.tensors().items():
        assert torch.equal(scaler.tensors()[name], value)


def test_a_folder_without_a_model_is_an_error(tmp_path: Path) -> None:
    refused(tmp_path, "no model in this folder: the file card.json is missing")


def test_a_flipped_byte_is_one_line(bundle: Path) -> None:
    weights = bundle / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    refused(bundle, "the weights do not have the card's hash")


def test_a_newer_schema_is_one_line(bundle: Path) -> None:
    refused(rewritten(bundle, schema_version=2), "schema version 2, newer than 1")


def test_a_sensor_without_a_definition_is_one_line(bundle: Path) -> None:
    card = json.loads((bundle / "card.json").read_text())
    changed = {
        name: {"belt" if sensor == "audio" else sensor: value for sensor, value in of.items()}
        for name, of in card.items()
        if name in ("features", "inputs")
    }
    refused(rewritten(bundle, **changed), r"card\.json: unknown modality 'belt' .*known: ")


def test_an_unknown_method_is_one_line(bundle: Path) -> None:
    refused(rewritten(bundle, method="hybird"), r"unknown method 'hybird' .*'hybrid'")


def test_weights_of_another_shape_are_one_line(bundle: Path) -> None:
    card = json.loads((bundle / "card.json").read_text())
    training = {**card["training"], "width": 9}
    refused(rewritten(bundle, training=training), "the weights do not match the card: .*size")


def test_another_number_of_runs_is_one_line(bundle: Path) -> None:
    refused(rewritten(bundle, runs=[{"fold": 0, "seed": 0}]), "1 run, but weights of 6")


class Harmful:
    """Writes a file when its pickle is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("hashed", [False, True])
@pytest.mark.parametrize("kind", ["pickle", "archive", "program", "script"])
def test_weights_that_could_execute_code_are_refused(
    kind: str, hashed: bool, bundle: Path, tmp_path: Path
) -> None:
    done = tmp_path / "executed"
    content = dangerous(kind, done)
    (bundle / "model.safetensors").write_bytes(content)
    if hashed:
        rewritten(bundle, weights_sha256=hashlib.sha256(content).hexdigest())
    refused(bundle, f"model.safetensors: an? {kind}.* instead of weights")
    assert not done.exists()


@pytest.mark.parametrize("kind", ["pickle", "archive", "program", "script", "file"])
def test_a_foreign_file_in_a_bundle_is_refused(kind: str, bundle: Path, tmp_path: Path) -> None:
    (bundle / ".gitignore").write_text("/model.safetensors")
    load_model(bundle)
    (bundle / "weights.bin").write_bytes(dangerous(kind, tmp_path / "executed"))
    refused(bundle, f"weights.bin: an? {kind}.* that does not belong to a bundle")
    shutil.rmtree(bundle)


def dangerous(kind: str, path: Path) -> bytes:
    """Return a file that would write another one if it were loaded or started."""
    harmful = Harmful(path)
    if kind == "archive":
        buffer = io.BytesIO()
        torch.save(harmful, buffer)
        return buffer.getvalue()
    contents = {"program": b"\x7fELF\x02\x01\x01", "script": b"#!/bin/sh\n", "file": b"text"}
    return contents.get(kind) or pickle.dumps(harmful)
