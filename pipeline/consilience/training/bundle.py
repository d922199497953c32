"""Model bundles: ``model.safetensors`` and ``card.json`` in one folder.

Both are data: nothing in a bundle is executed when it is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from consilience.core import registry
from consilience.core.errors import ConsilienceError
from consilience.core.files import write_bytes, write_json
from consilience.core.wording import counted
from consilience.model.stack import Stack
from consilience.schema.params.base import validated
from consilience.schema.params.training import TrainingParams
from consilience.training.augmentation import Run
from consilience.training.card import SCHEMA_VERSION, read_card
from consilience.training.data import Scaler
from consilience.training.networks import Architecture
from consilience.training.reference import Reference, as_tensors, from_tensors

WEIGHTS, CARD, ONNX, HISTORY = "model.safetensors", "card.json", "model.onnx", "history.csv"
FILES = (WEIGHTS, CARD, ONNX, HISTORY)
MAX_WEIGHTS_BYTES = 2**32
# How files begin that can execute code when they are loaded, or are programs.
EXECUTABLE = {
    b"\x80": "a pickle",
    b"PK": "an archive, as of pickles",
    b"\x7fELF": "a program",
    b"MZ": "a program",
    b"#!": "a script",
}


class Trained(Protocol):
    """Networks and their standardisation."""

    @property
    def stack(self) -> Stack:
        """Weights of all runs."""

    @property
    def scaler(self) -> Scaler:
        """Standardisation of inputs and affect, one per run."""


def save_model(
    folder: Path,
    model: Trained,
    card: Mapping[str, Any],
    references: Mapping[str, Reference],
) -> None:
    """Write a bundle.

    Parameters
    ----------
    folder : Path
    model : Trained
    card : mapping
        Fields of `consilience.training.card.Card`, but for the schema version and the hash of the
        weights.
    references : mapping of str to Reference
        By modality; see `consilience.training.reference`.
    """
    tensors = {
        **model.stack.state_dict(),
        **model.scaler.tensors(),
        **as_tensors(references),
    }
    weights = save({name: value.detach().contiguous() for name, value in tensors.items()})
    write_bytes(folder / WEIGHTS, weights)
    identity = {"schema_version": SCHEMA_VERSION, "weights_sha256": _sha256(weights)}
    write_json(folder / CARD, {**identity, **card})


def load_model(
    folder: Path,
) -> tuple[Stack, Scaler, list[Run], dict[str, Any], dict[str, Reference]]:
    """Read a bundle that `save_model` wrote.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    stack : Stack
        In evaluation mode.
    scaler : Scaler
    runs : list of Run
    card : dict
    references : dict of str to Reference
        Summaries of the training's recordings, by modality.

    Raises
    ------
    ConsilienceError
        If a file is missing, damaged or may execute code, the card is of a newer schema, a plug-in
        that it names is unknown, or the weights do not match it.
    """
    card = read_bundle_card(folder)
    tensors = _read_weights(folder / WEIGHTS, card["weights_sha256"])
    try:
        return _build(card, tensors, str(folder / CARD))
    except (RuntimeError, KeyError) as error:
        what = " ".join(str(error).split())[:200]
        raise ConsilienceError(
            f"the weights do not match the card: {what}", str(folder / WEIGHTS)
        ) from None


def read_bundle_card(folder: Path) -> dict[str, Any]:
    """Read and check the card of a bundle, and which files lie beside it.

    Raises
    ------
    ConsilienceError
        If a file is missing or foreign, or the card is invalid.
    """
    for name in (CARD, WEIGHTS):
        if not (folder / name).is_file():
            raise ConsilienceError(
                f"no model in this folder: the file {name} is missing",
                str(folder),
                "name a folder such as data/models/hybrid, or run 'dvc repro'",
            )
    for path in sorted(folder.iterdir()):
        # Hidden files are those of DVC and of file managers.
        if path.name not in FILES and not path.name.startswith("."):
            raise ConsilienceError(
                f"{_kind(path) or 'a file'} that does not belong to a bundle",
                str(path),
                "remove it if it is yours; otherwise do not trust the bundle",
            )
    return read_card(folder / CARD)


def _kind(path: Path) -> str | None:
    """Return what a file that may execute code is, by its first bytes; None for others."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        head = file.read(9)
    if head[8:] == b"{":  # safetensors, whose first bytes are a length
        return None
    return next((kind for start, kind in EXECUTABLE.items() if head.startswith(start)), None)


def _read_weights(path: Path, sha256: str) -> dict[str, Tensor]:
    """Read the tensors of a bundle, whose bytes must have the hash."""
    remedy = "copy the bundle again, or train the model again"
    if path.stat().st_size > MAX_WEIGHTS_BYTES:
        raise ConsilienceError(f"more than {MAX_WEIGHTS_BYTES} bytes", str(path), remedy)
    content = path.read_bytes()
    if _sha256(content) != sha256:
        kind = _kind(path)
        what = f"{kind} instead of weights" if kind else "the weights do not have the card's hash"
        raise ConsilienceError(what, str(path), remedy)
    try:
        tensors: dict[str, Tensor] = load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        what = f"{_kind(path) or 'a file'} instead of weights: {str(error)[:200]}"
        raise ConsilienceError(what, str(path), remedy) from None
    return tensors


def _build(
    card: dict[str, Any], tensors: Mapping[str, Tensor], where: str
) -> tuple[Stack, Scaler, list[Run], dict[str, Any], dict[str, Reference]]:
    runs = [Run(**run) for run in card["runs"]]
    registry.check("methods", card["method"], where)
    for name in card["features"]:  # before an encoder is built from it
        registry.check("modalities", name, where)
    method = registry.get("methods", card["method"])
    scaler = Scaler.from_tensors(tensors, list(card["features"]))
    if len(scaler.affect_mean) != len(runs):  # before memory is taken for the stated number
        what = f"{counted(len(runs), 'run')}, but weights of {len(scaler.affect_mean)}"
        raise ConsilienceError(what, where)
    architecture = Architecture(
        card["method"],
        validated(method.Params, card["params"], where, ("params",)),
        validated(TrainingParams, card["training"], where, ("training",)),
        card["features"],
        card.get("encodings", {}),
        len(card["classes"]),
        {name: torch.zeros(1, *shape) for name, shape in card["inputs"].items()},
    )
    stack = architecture.trained(tensors, len(runs))
    return stack, scaler, runs, card, from_tensors(tensors)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
