"""Runs the studies of a bench, one corpus after the other, and keeps what came of each."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from consilience.bench import study
from consilience.bench.page import render
from consilience.bench.search import search
from consilience.bench.settings import FILE, Settings, read, write
from consilience.core.errors import ConsilienceError, system_error
from consilience.core.files import read_json, write_bytes, write_json
from consilience.core.termination import exit_at_signals
from consilience.project import Project
from consilience.run import run

RESULTS, PAGE = "bench.json", "index.html"
LAST_STAGE = "evaluate"
EVALUATED, FAILED, OPEN = "evaluated", "failed", "not run yet"

Emit = Callable[[str], None]
Records = dict[str, dict[str, Any]]


def settings_of(folder: Path, data: Path | None, emit: Emit) -> Settings:
    """Return the settings in ``bench.yaml``, which is written if it is missing.

    Parameters
    ----------
    folder : Path
        Of the bench.
    data : Path or None
        Folder whose subfolders are searched for corpora, if ``bench.yaml`` is missing.
    emit : callable
        Called with every line to print.

    Raises
    ------
    ConsilienceError
        As `search` and `read`.
    """
    if not (folder / FILE).is_file() and data is not None:
        write(folder, search(data))
        emit(f"wrote {folder / FILE}")
    elif data is not None:
        emit(f"{folder / FILE} is used as it is; remove it to search {data} again")
    settings = read(folder)
    for name, corpus in settings.corpora.items():
        emit(f"corpus {name}: dataset '{corpus.dataset}', {', '.join(corpus.modalities)}")
    for name, reason in settings.left_out.items():
        emit(f"left out {name}: {reason}")
    return settings


def bench(folder: Path, settings: Settings, only: Sequence[str], emit: Emit) -> dict[str, Any]:
    """Bring the evaluation of every corpus up to date; a failure concerns its corpus alone.

    ``bench.json`` and ``index.html`` are written after each.

    Parameters
    ----------
    folder : Path
        Of the bench; the study of a corpus is the subfolder of its name.
    settings : Settings
    only : sequence of str
        Names of the corpora to run; none for all.
    emit : callable
        Called with every line to print.

    Returns
    -------
    dict
        The content of ``bench.json``.

    Raises
    ------
    ConsilienceError
        If a name in `only` is unknown.
    """
    for name in only:
        if name not in settings.corpora:
            raise ConsilienceError(
                f"unknown corpus '{name}'", "--only", f"known: {', '.join(settings.corpora)}"
            )
    chosen = [name for name in settings.corpora if name in only or not only]
    records = current_records(folder, settings)
    content = _write(folder, settings, records)
    for number, name in enumerate(chosen, 1):
        exit_at_signals()  # the run before has left its own handler, which only cancels that run
        emit(f"{name}: corpus {number} of {len(chosen)}")
        records[name] = _record(folder, name, settings, emit)
        emit(f"{name}: {_outcome(records[name])}")
        content = _write(folder, settings, records)
    return content


def any_evaluated(content: dict[str, Any], only: Sequence[str]) -> bool:
    """Return whether a corpus of those that were run has figures; see `bench`."""
    corpora = content["corpora"]
    return any(corpora[name]["state"] == EVALUATED for name in only or corpora)


def current_records(folder: Path, settings: Settings) -> Records:
    """Return what earlier runs found for each corpus, unless its settings have changed since."""
    path = folder / RESULTS
    earlier: Records = read_json(path)["corpora"] if path.is_file() else {}
    records = {}
    for name in settings.corpora:
        described = settings.complete(name, folder).model_dump(mode="json")
        record = earlier.get(name, {})
        unchanged = record.get("settings") == described
        records[name] = record if unchanged else {"state": OPEN, "settings": described}
    return records


def _record(folder: Path, name: str, settings: Settings, emit: Emit) -> dict[str, Any]:
    """Run one corpus and return its results, or the reason of its failure."""
    corpus, project = settings.complete(name, folder), Project(folder / name)
    record: dict[str, Any] = {
        "state": EVALUATED,
        "settings": corpus.model_dump(mode="json"),
        "code": code_version(),
    }
    try:
        study.prepare(project, corpus)
        run(project, [LAST_STAGE], lambda line: emit(f"{name} {line}"))
        return record | study.results(project)
    except (ConsilienceError, OSError, MemoryError) as error:
        reason = str(error) if isinstance(error, ConsilienceError) else system_error(error)
        return record | {"state": FAILED, "reason": reason}


def _outcome(record: dict[str, Any]) -> str:
    """Return one line on the result of a corpus."""
    if record["state"] == FAILED:
        return f"failed: {record['reason']}"
    figures = [f"{name} {values['all']:.3f}" for name, values in record["methods"].items()]
    return f"balanced accuracy {', '.join(figures)} (chance {record['chance']:.3f})"


def _write(folder: Path, settings: Settings, records: Records) -> dict[str, Any]:
    content = {
        "code": code_version(),
        "methods": list(settings.methods),
        "corpora": records,
        "left_out": settings.left_out,
    }
    write_json(folder / RESULTS, content)
    write_bytes(folder / PAGE, render(content).encode())
    return content


def code_version() -> str:
    """Return the version of the package, and the commit if it runs from a clone."""
    git, package = shutil.which("git"), Path(__file__).parent
    ask = partial(subprocess.run, cwd=package, capture_output=True, text=True, check=False)
    commit = ""
    # An installed package may lie inside another repository, which does not track it.
    if git and not ask([git, "ls-files", "--error-unmatch", Path(__file__).name]).returncode:
        commit = ask([git, "describe", "--always", "--dirty", "--exclude=*"]).stdout.strip()
    return f"{version('consilience')}" + (f" ({commit})" if commit else "")
