"""Train one method of a project on every fold with every seed."""

from __future__ import annotations

import io
import platform
import shutil
from importlib.metadata import version
from typing import Any

from consilience.core import registry
from consilience.core.files import atomic_folder, content_hash, text_hash, write_bytes
from consilience.core.fingerprint import fingerprint
from consilience.modalities.settings import encoder_names, modality_params
from consilience.project import Project
from consilience.schema.params.alignment import AlignmentParams
from consilience.schema.params.annotation import AnnotationParams
from consilience.schema.params.base import read_plugins
from consilience.schema.params.plugins import MethodParams
from consilience.schema.params.training import TrainingParams
from consilience.schema.params.windows import WindowParams
from consilience.training import fit
from consilience.training.bundle import HISTORY, save_model
from consilience.training.people import people_of, recordings_by_subject
from consilience.training.reference import fit_references
from consilience.windows.store import Corpus, load_corpus

INTENDED_USE = (
    "Research on emotion recognition from the listed sensors, of people who have consented. "
    "Not for diagnosis, and not for decisions about a person."
)
LIMITS = [
    "Classes are those of the training's annotators and settings, not inner states.",
    "Accuracy on other devices, languages, ages or settings than those of the training is unknown.",
    "Prediction sets cover as stated on clean recordings of people alike those of the training.",
]
LICENCE = "not stated"
LIBRARIES = ("consilience", "numpy", "safetensors", "torch")


def method_params(project: Project) -> dict[str, MethodParams]:
    """Read and check the parameters of every method in ``params.yaml``, in its order."""

    def params_class(name: str) -> type[MethodParams]:
        kind: type[MethodParams] = registry.params("methods", name)
        return kind

    return read_plugins(project.content, "methods", params_class, str(project.params_file))


def train(project: Project, method: str) -> None:
    """Train a method on ``data/windows`` and write ``data/models/<method>``.

    An interrupted training of the same data, parameters and code goes on from its checkpoint.

    Parameters
    ----------
    project : Project
        With windows.
    method : str
    """
    corpus = load_corpus(project.windows, project.corrupted)
    settings, training = method_params(project)[method], project.section(TrainingParams)
    plugins = {
        "methods": [method],
        "modalities": corpus.modalities,
        "encoders": encoder_names(corpus.modalities),
    }
    identity = text_hash(
        settings.model_dump_json(),
        training.model_dump_json(),
        data_hash(project),
        fingerprint([fit.__name__], plugins, project.store("code")).digest,
    )
    checkpoints = project.checkpoints(method)
    fitted = fit.fit(method, settings, training, corpus, checkpoints / identity[:16])
    card = {
        **card_of_data(project, corpus),
        "method": method,
        "params": settings.model_dump(mode="json"),
        "training": training.model_dump(mode="json"),
        "runs": [{"fold": fold, "seed": seed} for fold, seed in fitted.runs],
        "best_epochs": fitted.best_epochs,
    }
    buffer = io.BytesIO()
    fitted.history.write_csv(buffer, float_precision=6)
    with atomic_folder(project.model(method)) as folder:
        save_model(folder, fitted, card, fit_references(corpus))
        write_bytes(folder / HISTORY, buffer.getvalue())
    shutil.rmtree(checkpoints, ignore_errors=True)


def data_hash(project: Project) -> str:
    """Return the hash of a project's windows, labels and folds."""
    names = ("index.parquet", "splits.parquet", "meta.json")
    return text_hash(*(content_hash(project.windows / name) for name in names))


def card_of_data(project: Project, corpus: Corpus) -> dict[str, Any]:
    """Return the fields of a card that describe the data and the use, for models of any method."""
    return {
        "data_sha256": data_hash(project),
        "dataset": corpus.dataset,
        "classes": corpus.classes,
        "features": corpus.features,
        "encodings": corpus.encodings,
        "inputs": {name: corpus.input_shape(name) for name in corpus.modalities},
        "windows": len(corpus.index),
        "people": people_of(corpus.splits, recordings_by_subject(project, corpus.modalities)),
        "recipe": _recipe(project),
        "metrics": {},
        "intended_use": INTENDED_USE,
        "limits": LIMITS,
        "licence": LICENCE,
        "libraries": {
            "python": platform.python_version(),
            **{name: version(name) for name in LIBRARIES},
        },
    }


def _recipe(project: Project) -> dict[str, object]:
    """Return the parameters that turn recordings into windows, for use on other recordings."""
    sections = (AlignmentParams, AnnotationParams, WindowParams)
    return {
        "modalities": {
            name: params.model_dump(mode="json")
            for name, params in modality_params(project).items()
        },
        **{kind.KEY: project.section(kind).model_dump(mode="json") for kind in sections},
    }
