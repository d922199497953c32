"""Train one method of a project on every fold with every seed."""

from __future__ import annotations

import shutil

from consilience.core import registry
from consilience.core.files import atomic_folder, content_hash, text_hash
from consilience.core.fingerprint import fingerprint
from consilience.modalities.settings import encoder_names, modality_params
from consilience.project import Project
from consilience.schema.constants import ROLES
from consilience.schema.params.alignment import AlignmentParams
from consilience.schema.params.annotation import AnnotationParams
from consilience.schema.params.base import read_plugins
from consilience.schema.params.plugins import MethodParams
from consilience.schema.params.training import TrainingParams
from consilience.schema.params.windows import WindowParams
from consilience.training import fit
from consilience.training.bundle import save_model
from consilience.training.reference import fit_references
from consilience.windows.store import Corpus, load_corpus


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
    files = [project.windows / name for name in ("index.parquet", "splits.parquet", "meta.json")]
    identity = text_hash(
        settings.model_dump_json(),
        training.model_dump_json(),
        *(content_hash(path) for path in files),
        fingerprint([fit.__name__], plugins, project.store("code")).digest,
    )
    checkpoints = project.checkpoints(method)
    fitted = fit.fit(method, settings, training, corpus, checkpoints / identity[:16])
    card = {
        "method": method,
        "dataset": corpus.dataset,
        "classes": corpus.classes,
        "features": corpus.features,
        "encodings": corpus.encodings,
        "params": settings.model_dump(mode="json"),
        "training": training.model_dump(mode="json"),
        "runs": [{"fold": fold, "seed": seed} for fold, seed in fitted.runs],
        "best_epochs": fitted.best_epochs,
        "windows": len(corpus.index),
        "subjects": _subjects(corpus),
        "recipe": _recipe(project),
    }
    with atomic_folder(project.model(method)) as folder:
        save_model(folder, fitted, card, fit_references(corpus))
    shutil.rmtree(checkpoints, ignore_errors=True)


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


def _subjects(corpus: Corpus) -> dict[str, dict[str, list[str]]]:
    """Return the subjects by fold and role."""
    return {
        str(fold): {
            role: corpus.splits.filter(fold=fold, role=role)["subject"].sort().to_list()
            for role in ROLES
        }
        for fold in corpus.folds
    }
