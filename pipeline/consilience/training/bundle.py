"""Model bundles: ``model.safetensors``, ``card.json`` and ``history.csv`` in one folder."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file, save
from torch import Tensor

from consilience.core import registry
from consilience.core.errors import ConsilienceError
from consilience.core.files import write_bytes, write_json
from consilience.model.stack import Stack
from consilience.schema.params.base import validated
from consilience.schema.params.training import TrainingParams
from consilience.training.augmentation import Run
from consilience.training.card import read_card
from consilience.training.data import Scaler
from consilience.training.networks import Architecture
from consilience.training.reference import Reference, as_tensors, from_tensors

if TYPE_CHECKING:
    from consilience.training.fit import Fitted


def save_model(
    folder: Path,
    fitted: Fitted,
    card: dict[str, Any],
    references: Mapping[str, Reference],
) -> None:
    """Write a bundle.

    Parameters
    ----------
    folder : Path
    fitted : Fitted
    card : dict
        With the keys that `load_model` reads: ``method``, ``classes``, ``features``, ``params``,
        ``training``, ``runs`` and, if any, ``encodings``.
    references : mapping of str to Reference
        By modality; see `consilience.training.reference`.
    """
    tensors = {
        **fitted.stack.state_dict(),
        **fitted.scaler.tensors(),
        **as_tensors(references),
    }
    write_bytes(
        folder / "model.safetensors",
        save({name: value.detach().contiguous() for name, value in tensors.items()}),
    )
    write_json(folder / "card.json", card)
    buffer = io.BytesIO()
    fitted.history.write_csv(buffer, float_precision=6)
    write_bytes(folder / "history.csv", buffer.getvalue())


def load_model(
    folder: Path, example: Mapping[str, Tensor]
) -> tuple[Stack, Scaler, list[Run], dict[str, Any], dict[str, Reference]]:
    """Read a bundle that `save_model` wrote.

    Parameters
    ----------
    folder : Path
    example : mapping of str to Tensor, shape (1, ...)
        A prepared window of each modality.

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
        If the model is missing or was trained for other modalities.
    """
    if not (folder / "card.json").is_file():
        raise ConsilienceError("no model in this folder", str(folder), "run 'dvc repro'")
    where = str(folder / "card.json")
    card = read_card(folder / "card.json")
    if list(card["features"]) != list(example):
        raise ConsilienceError(
            f"trained for {', '.join(card['features'])}, not {', '.join(example)}",
            str(folder),
            "run 'dvc repro'",
        )
    runs = [Run(**run) for run in card["runs"]]
    method = registry.get("methods", card["method"])
    tensors = load_file(folder / "model.safetensors")
    scaler = Scaler.from_tensors(tensors, list(example))
    if len(scaler.affect_mean) != len(runs):  # before memory is taken for the stated number
        raise ConsilienceError(f"{len(runs)} runs, but weights of {len(scaler.affect_mean)}", where)
    architecture = Architecture(
        card["method"],
        validated(method.Params, card["params"], where, ("params",)),
        validated(TrainingParams, card["training"], where, ("training",)),
        card["features"],
        card.get("encodings", {}),
        len(card["classes"]),
        example,
    )
    stack = architecture.trained(tensors, len(runs))
    return stack, scaler, runs, card, from_tensors(tensors)
