"""Train one method on every fold with every seed: ``python -m consilience.stages.train METHOD``."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from consilience.core.files import atomic_folder, content_hash, text_hash
from consilience.params import Params, load
from consilience.schema.tables import CLEAN, ROLES
from consilience.stages import run

if TYPE_CHECKING:
    from consilience.windows.store import Corpus, load_corpus

WINDOWS = Path("data/windows")
MODELS = Path("data/models")
CHECKPOINTS = Path("data/checkpoints")


def main(method: str) -> None:
    """Train and write ``data/models/METHOD``."""
    train(method, load())


def train(method: str, params: Params) -> None:
    """Train a method on ``data/windows``; an interrupted training of the same is taken up."""
    from consilience.training import loop  # slow to import

    corpus = load_corpus(WINDOWS)
    settings, training = params.methods[method], params.training
    identity = text_hash(
        settings.model_dump_json(),
        training.model_dump_json(),
        *(content_hash(path) for path in sorted(WINDOWS.rglob(f"{CLEAN}.npy"))),
        *(
            content_hash(WINDOWS / name)
            for name in ("index.parquet", "splits.parquet", "meta.json")
        ),
        *(content_hash(path) for path in _code()),
    )
    checkpoint = CHECKPOINTS / method / identity[:16]
    fitted = loop.fit(method, settings, training, corpus, checkpoint)
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
        "recipe": {
            "modalities": {n: p.model_dump(mode="json") for n, p in params.modalities.items()},
            "alignment": params.alignment.model_dump(mode="json"),
            "annotation": params.annotation.model_dump(mode="json"),
            "windows": params.windows.model_dump(mode="json"),
        },
    }
    with atomic_folder(MODELS / method) as folder:
        loop.save_model(folder, fitted, card)
    shutil.rmtree(CHECKPOINTS / method, ignore_errors=True)


def _subjects(corpus: Corpus) -> dict[str, dict[str, list[str]]]:
    """Return the subjects by fold and role: who may be tested by which run."""
    return {
        str(fold): {
            role: corpus.splits.filter(fold=fold, role=role)["subject"].sort().to_list()
            for role in ROLES
        }
        for fold in corpus.folds
    }


def _code() -> list[Path]:
    """Return the files whose change makes a checkpoint another training's."""
    package = Path(__file__).parents[1]
    return sorted(
        path
        for folder in ("methods", "modalities", "model", "training")
        for path in (package / folder).glob("*.py")
    )


if __name__ == "__main__":
    run(main)
