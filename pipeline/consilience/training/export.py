"""A trained method of a project as one small bundle: ``consilience export``.

The project's own model has a network for every fold and seed, so that every person is predicted by
networks trained on others. A bundle has one network, trained once more on all people: for the
median of the selected numbers of epochs, and with the mean calibration of the project's networks,
each of which was fitted on held-out people.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median_low
from typing import Any, NamedTuple

from consilience.core import registry
from consilience.core.errors import ConsilienceError
from consilience.core.files import atomic_folder, read_json, temporary_folder
from consilience.core.wording import counted
from consilience.model.stack import Stack
from consilience.project import Project
from consilience.schema.params.training import TrainingParams
from consilience.training.bundle import CARD, WEIGHTS, load_model, save_model
from consilience.training.data import Scaler
from consilience.training.fit import everyone, fit_everyone
from consilience.training.people import people_of, recordings_by_subject
from consilience.training.run import data_hash
from consilience.windows.store import Corpus, load_corpus

MOST_BYTES = 2_000_000  # of a bundle that is meant to be sent by mail; a larger one is noted


class Network(NamedTuple):
    """The network of a bundle and its standardisation."""

    stack: Stack
    scaler: Scaler


def export(
    project: Project, method: str, folder: Path, licence: str | None = None, onnx: bool = False
) -> list[str]:
    """Train a method on all people of a project and write it as a bundle.

    Parameters
    ----------
    project : Project
        With windows, the model of the method and an evaluation.
    method : str
    folder : Path
        Of the bundle; must not exist.
    licence : str, optional
        Of the bundle, for its card.
    onnx : bool
        Whether to write ``model.onnx`` too; see `consilience.training.onnx_export`.

    Returns
    -------
    list of str
        Lines on what was written.

    Raises
    ------
    ConsilienceError
        If the folder exists, the method was not trained on the project's windows or not evaluated.
    """
    if folder.exists():
        raise ConsilienceError("already exists", str(folder), "name a new folder, or remove it")
    if onnx:
        from consilience.training import onnx_export  # an optional extra

        onnx_export.check_installed()
    stack, _, _, card, references = load_model(project.model(method))
    if card["data_sha256"] != data_hash(project):
        raise ConsilienceError(
            "trained on other windows than those in data/windows",
            str(project.model(method)),
            "run 'dvc repro'",
        )
    metrics = read_metrics(project, method)
    corpus = load_corpus(project.windows, project.corrupted)
    network = _train(project, corpus, card, stack)
    recordings = recordings_by_subject(project, corpus.modalities)
    card |= {
        "training": {**card["training"], "seeds": card["training"]["seeds"][:1]},
        "runs": [{"fold": 0, "seed": card["training"]["seeds"][0]}],
        "best_epochs": [_epochs(card)],
        "people": people_of(everyone(corpus), recordings),
        "metrics": metrics,
        "licence": licence or card["licence"],
    }
    del card["weights_sha256"]
    with atomic_folder(folder) as target:
        save_model(target, network, card, references)
        if onnx:
            onnx_export.write(target)
        return _summary(target, folder, card)


def read_metrics(project: Project, method: str) -> dict[str, list[float | None]]:
    """Return estimate, low and high end of the 95 % interval of every metric of a method.

    They are those of the project's own networks for people held out, and describe the bundle as
    far as its one network, trained on more people, is alike.

    Raises
    ------
    ConsilienceError
        If the method was not evaluated.
    """
    path = project.evaluation / "metrics.json"
    values = read_json(path).get(method) if path.is_file() else None
    if values is None:
        raise ConsilienceError(f"method '{method}' is not evaluated", str(path), "run 'dvc repro'")
    return {
        name: [values[name], values[f"{name}_low"], values[f"{name}_high"]]
        for name in values
        if f"{name}_low" in values and "_over_" not in name
    }


def _epochs(card: dict[str, Any]) -> int:
    return median_low(card["best_epochs"])


def _train(project: Project, corpus: Corpus, card: dict[str, Any], calibrated: Stack) -> Network:
    """Train the network of a bundle, with the parameters and labels of the project's model."""
    method = card["method"]
    params = registry.get("methods", method).Params(**card["params"])
    with temporary_folder(project.model(method)) as checkpoint:
        return Network(
            *fit_everyone(
                method,
                params,
                TrainingParams(**card["training"]),
                corpus,
                checkpoint,
                _epochs(card),
                calibrated,
            )
        )


def _summary(written: Path, folder: Path, card: dict[str, Any]) -> list[str]:
    n_bytes = sum((written / name).stat().st_size for name in (WEIGHTS, CARD))
    lines = [
        f"{folder}: {card['method']} for {', '.join(card['features'])}, trained on "
        f"{counted(len(card['people']), 'person', 'people')}, {n_bytes / 1e6:.2f} MB"
    ]
    if n_bytes > MOST_BYTES:
        lines.append(f"warning: the bundle is larger than {MOST_BYTES / 1e6:g} MB")
    return lines
