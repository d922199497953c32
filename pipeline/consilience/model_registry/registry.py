"""Accepted models of a project: versions that are added and never changed, one of them current.

``data/registry/v0001`` has the bundle and `predictions` of the first accepted model;
``data/registry/registry.json`` lists all versions with the hashes of their files, the current one,
and what happened to them. DVC tracks the folder as a whole.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from consilience.core import dvc
from consilience.core.errors import ConsilienceError
from consilience.core.files import atomic_folder, content_hash, read_json
from consilience.model_registry.decision import Decision
from consilience.model_registry.index import (
    BUNDLE,
    LIST,
    RESTORE,
    Event,
    Index,
    Version,
    read_index,
    write_index,
)
from consilience.model_registry.predictions import (
    OutOfFold,
    predict_out_of_fold,
    project_windows,
)
from consilience.project import Project
from consilience.training.bundle import CARD, WEIGHTS, read_bundle_card
from consilience.training.export import export

PREDICTIONS = "predictions.npz"
ACCEPTED = "accepted"  # names the current version in place of a bundle's folder


def versions(project: Project) -> list[Version]:
    """Return all accepted versions, the oldest first.

    Raises
    ------
    ConsilienceError
        If the registry is damaged, of a newer version, or not pulled.
    """
    return list(read_index(project).versions)


def current(project: Project) -> Version | None:
    """Return the current version; None before the first. Errors as `versions`."""
    index = read_index(project)
    return index.get(index.current) if index.current else None


def model_hash(project: Project, method: str) -> str:
    """Return the SHA-256 of the weights of a study's model.

    Raises
    ------
    ConsilienceError
        If it is missing or its card is invalid.
    """
    folder = project.model(method)
    if not (folder / CARD).is_file():
        raise ConsilienceError(
            f"method '{method}' is not trained", str(folder), "run 'consilience run'"
        )
    read_bundle_card(folder)
    return content_hash(folder / WEIGHTS)


def version_of_model(project: Project, model_sha256: str) -> Version | None:
    """Return the version that was made of a model of the study; the latest of several."""
    matching = [v for v in versions(project) if v.model_sha256 == model_sha256]
    return matching[-1] if matching else None


def is_rolled_back(project: Project, name: str) -> bool:
    """Return whether the last event that made or ended a version as the current one ended it."""
    ended = False
    for event in read_index(project).history:
        if event.version == name:
            ended = False
        elif event.replaced == name:
            ended = event.action == "rollback"
    return ended


def folder_of(project: Project, name: str) -> Path:
    """Return the folder of a version."""
    return project.registry / name


def bundle_of(project: Project, name: str) -> Path:
    """Return the folder of a version's bundle, whose files are as they were accepted.

    Raises
    ------
    ConsilienceError
        If the version is unknown or damaged.
    """
    verify(project, read_index(project).get(name))
    return folder_of(project, name) / BUNDLE


def predictions(project: Project, name: str) -> OutOfFold:
    """Return the out-of-fold predictions of a version; errors as `bundle_of`."""
    verify(project, read_index(project).get(name))
    return OutOfFold.load(folder_of(project, name) / PREDICTIONS)


def resolve(project: Project, text: str) -> Path:
    """Return the folder of a bundle, which may be named as an accepted version.

    Parameters
    ----------
    project : Project
    text : str
        ``accepted``, ``accepted@v0001``, or a folder; ``./accepted`` is a folder.

    Raises
    ------
    ConsilienceError
        If no model is accepted yet, or the version is unknown or damaged.
    """
    if not is_accepted(text):
        return Path(text)
    _, _, name = text.partition("@")
    if not name:
        version = current(project)
        if version is None:
            raise ConsilienceError(
                "no model is accepted yet", str(project.registry), "run 'consilience promote'"
            )
        name = version.name
    return bundle_of(project, name)


def is_accepted(text: str) -> bool:
    """Return whether a text names an accepted version."""
    return text == ACCEPTED or text.startswith(f"{ACCEPTED}@")


def copy_bundle(project: Project, text: str, folder: Path) -> None:
    """Copy an accepted bundle to a new folder; errors as `resolve`, or if the folder exists."""
    if folder.exists():
        raise ConsilienceError("already exists", str(folder), "name a new folder, or remove it")
    bundle = resolve(project, text)
    with atomic_folder(folder) as target:
        for path in sorted(bundle.iterdir()):
            shutil.copyfile(path, target / path.name)


def verify(project: Project, version: Version) -> None:
    """Raise unless every file of a version is there and has its hash."""
    folder = folder_of(project, version.name)
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    for name in sorted(present | version.files.keys()):
        if name not in version.files:
            what = "does not belong to the version"
        elif name not in present:
            what = "missing"
        elif content_hash(folder / name) != version.files[name]:
            what = "not as it was accepted: another SHA-256"
        else:
            continue
        raise ConsilienceError(what, str(folder / name), RESTORE)


def accept(project: Project, decision: Decision, emit: Callable[[str], None] = print) -> Version:
    """Make the compared model the current version.

    The bundle is trained on all people, as ``consilience export`` does. A model that is a version
    already becomes current again, and is not added twice.

    Parameters
    ----------
    project : Project
        With windows, the model and an evaluation.
    decision : Decision
        Accepted, about the model as it is now.
    emit : callable
        Receives lines on what was written.

    Raises
    ------
    ConsilienceError
        If the gate blocked the model, it was trained again or another one accepted since, or it is
        not evaluated; or DVC cannot store the registry.
    """
    _check_decision(project, decision)
    with _locked(project):
        index = read_index(project)
        existing = version_of_model(project, decision.model_sha256)
        if index.current not in (decision.against, existing.name if existing else None):
            raise ConsilienceError(
                f"compared with {decision.against}, but {index.current} is current now",
                str(project.model(decision.method)),
                "run 'consilience gate' again",
            )
        if existing is None:
            version = _add(project, index, decision, emit)
            index = index.model_copy(update={"versions": [*index.versions, version]})
        else:
            version = existing
            verify(project, version)
        if index.current != version.name:
            index = _with_event(index, "accept", version.name, "; ".join(decision.reasons))
            write_index(project, index)
        _track(project)
    return version


def rollback(project: Project, version: str | None = None, reason: str = "") -> Version:
    """Make a former version current again; nothing is removed.

    Parameters
    ----------
    project : Project
    version : str, optional
        By default, the one before the current version.
    reason : str
        For the history.

    Raises
    ------
    ConsilienceError
        If no model is accepted, the version is unknown, damaged, or none is older.
    """
    with _locked(project):
        index = read_index(project)
        if index.current is None:
            raise ConsilienceError(
                "no model is accepted yet", str(project.registry), "run 'consilience promote'"
            )
        target = index.get(version) if version else _before(index, index.current)
        verify(project, target)
        if target.name != index.current:
            write_index(project, _with_event(index, "rollback", target.name, reason))
        _track(project)
    return target


def _before(index: Index, name: str) -> Version:
    place = index.versions.index(index.get(name))
    if not place:
        raise ConsilienceError("no older version", name, LIST)
    return index.versions[place - 1]


def _check_decision(project: Project, decision: Decision) -> None:
    if not decision.accepted:
        raise ConsilienceError(
            f"the gate blocked the model: {decision.reasons[0]}",
            str(project.model(decision.method)),
            "'consilience promote --force --reason TEXT' accepts it all the same",
        )
    if model_hash(project, decision.method) != decision.model_sha256:
        raise ConsilienceError(
            "trained again since it was compared",
            str(project.model(decision.method)),
            "run 'consilience gate' again",
        )


def _add(
    project: Project, index: Index, decision: Decision, emit: Callable[[str], None]
) -> Version:
    """Write the folder of a new version; it counts from the time that the index lists it."""
    name = f"v{len(index.versions) + 1:04d}"
    if not index.versions:  # a folder without the index is damaged, not begun
        write_index(project, index)
    corpus = project_windows(project)
    predicted = predict_out_of_fold(project, decision.method, corpus)
    with atomic_folder(folder_of(project, name)) as folder:
        lines = export(project, decision.method, folder / BUNDLE)
        predicted.save(folder / PREDICTIONS)
        card = read_json(folder / BUNDLE / CARD)
        files = {
            path.relative_to(folder).as_posix(): content_hash(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
    for line in lines[1:]:  # warnings
        emit(line)
    return Version(
        name=name,
        time=_now(),
        method=decision.method,
        model_sha256=decision.model_sha256,
        files=files,
        metrics={key: card["metrics"][key] for key in ("all", "ece") if key in card["metrics"]},
        n_people=len(card["people"]),
        n_windows=card["windows"],
        decision=decision.as_json(),
    )


def _with_event(
    index: Index, action: Literal["accept", "rollback"], name: str, reason: str
) -> Index:
    event = Event(time=_now(), action=action, version=name, replaced=index.current, reason=reason)
    return index.model_copy(update={"current": name, "history": [*index.history, event]})


@contextmanager
def _locked(project: Project) -> Iterator[None]:
    """Let one process at a time change the registry; others wait."""
    project.data.mkdir(exist_ok=True)
    # The folder of all data exists as long as the project; the registry may be pulled anew.
    lock = os.open(project.data, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _track(project: Project) -> None:
    """Store the registry in DVC's cache, if the project is in a DVC repository."""
    root = project.root.resolve()
    if not any((folder / ".dvc").is_dir() for folder in (root, *root.parents)):
        return
    # In a thread, because the caller may run in an event loop of its own.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, dvc.add(project.root, project.registry)).result()


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
