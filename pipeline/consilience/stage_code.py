"""Fingerprints of the code that each stage of a project depends on, one file per stage.

The stage runs at every ``dvc repro``. It therefore imports what is slow only where the parameters,
the code, a library or the files of fingerprints have changed since its last run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from consilience.core import code_state
from consilience.core.errors import ConsilienceError
from consilience.core.files import content_hash, write_bytes
from consilience.core.special_files import check_folder
from consilience.core.store import Store
from consilience.project import Project
from consilience.reporting.settings import settings_document

if TYPE_CHECKING:
    from consilience.core.fingerprint import CodeBase
    from consilience.params import Params

STAGES = "consilience.stages"
STORE = "code"  # name of the folder of fingerprints by key, and of the last run in it
# Stages whose other files bear names from params.yaml depend on this one, so that DVC runs none of
# them, and removes no output of theirs, before the names are checked.
CHECKED = "checked.json"

# Folders that stages depend on though no stage writes all of them, and their README. Studies of
# earlier versions lack the first; DVC would refuse to run 'label' without it, 'report' without the
# second.
FOLDERS = {"data/annotations": "data_annotations.md.txt", "data/score": "data_score.md.txt"}

# Stages that run once per item, and the kind of plug-in that an item names.
ITEM_KINDS = {
    "synthesize": "datasets",
    "ingest": "modalities",
    "train": "methods",
    "score": "datasets",
}
# Stages that run encoders. The others import modalities too, but call no encoder.
ENCODING_STAGES = {"train", "evaluate", "query"}


def is_current(project: Project) -> bool:
    """Return whether a run would change nothing and find nothing to report."""
    kept = Store(project.store(STORE)).load(STORE)
    if kept is None or any(_absent(project)):
        return False
    root, code = Path(kept.outcome["root"]), kept.outcome["code"]
    packages = {name: code_state.package(name) for name in code["packages"]}
    code = {"environment": code_state.environment(), "packages": packages}
    try:
        _check_recordings(root)
        return kept.outcome == _run(project, root, code, content_hash(project.params_file))
    except (ConsilienceError, OSError):  # the run will report it
        return False


def _run(project: Project, root: Path, code: dict[str, Any], params_hash: str) -> dict[str, Any]:
    """Return a run's inputs, but for the recordings themselves, and its outputs."""
    return {
        "params": params_hash,
        "code": code,
        "root": str(root),
        # Links decide whether recordings and results lie apart.
        "folders": [str(folder.resolve()) for folder in (root, project.data)],
        "files": [list(entry) for entry in code_state.tree(project.code)],
    }


def _absent(project: Project) -> Iterator[tuple[Path, Path]]:
    """Yield each of `FOLDERS` that a study lacks, and the text that explains it."""
    for name, template in FOLDERS.items():
        folder = project.root / name
        if not folder.is_dir():
            yield folder, Path(__file__).with_name("templates") / "study" / template


def _check_recordings(root: Path) -> None:
    if root.is_dir():
        check_folder(root)  # before DVC reads it for the stages that depend on it


def write_fingerprints(project: Project) -> None:
    """Check all parameters and write ``data/code/<stage>.json`` or ``<stage>-<item>.json``.

    Raises
    ------
    ConsilienceError
        If a parameter is missing, unknown or invalid.
    """
    from consilience import params  # slow to import
    from consilience.core.fingerprint import CodeBase

    params_file = project.params_file
    params_hash = content_hash(params_file) if params_file.is_file() else ""
    settings = params.load(params_file)
    root, code = project.dataset_root, CodeBase(project.store(STORE))
    _check_recordings(root)
    texts = {CHECKED: '{"parameters": "checked"}\n', **fingerprint_files(settings, code)}
    texts[project.settings_file.name] = json.dumps(settings_document(settings), indent=1) + "\n"
    for folder, template in list(_absent(project)):
        write_bytes(folder / "README.md", template.read_bytes())
    for name, text in texts.items():
        path = project.code / name
        # An unchanged file keeps its time, by which DVC sees that it need not be hashed again.
        if not path.is_file() or path.read_text() != text:
            write_bytes(path, text.encode())
    for path in project.code.glob("*.json"):
        if path.name not in texts:
            path.unlink()
    run = _run(project, root, code.state(), params_hash)
    Store(project.store(STORE)).save(STORE, run, None)


def fingerprint_files(settings: Params, code: CodeBase) -> dict[str, str]:
    """Return the content of every fingerprint file by its name."""
    return {
        f"{name}.json": json.dumps(code.fingerprint([entry], plugins).document(), indent=1) + "\n"
        for name, entry, plugins in stage_instances(settings)
    }


def stage_instances(settings: Params) -> Iterator[tuple[str, str, Mapping[str, list[str]]]]:
    """Yield the name, the entry module and the plug-ins of every run of a stage.

    A stage that runs once per item loads that item alone of its kind.
    """
    modalities = settings.modalities.values()
    encoders = sorted({modality.ENCODER for modality in modalities})
    in_use = {
        "datasets": [settings.dataset.name],
        "modalities": list(settings.modalities),
        "methods": list(settings.methods),
        "inputs": sorted({modality.INPUTS for modality in modalities}),
    }
    items = in_use | {"datasets": list(settings.dataset.synthetic)}
    for stage in stage_names():
        kind, entry = ITEM_KINDS.get(stage), f"{STAGES}.{stage}"
        plugins = in_use | {"encoders": encoders if stage in ENCODING_STAGES else []}
        if kind is None:
            yield stage, entry, plugins
        else:
            for item in items[kind]:
                yield f"{stage}-{item}", entry, plugins | {kind: [item]}


def stage_names() -> list[str]:
    """Return the names of all stages but ``code`` itself."""
    modules = iter_modules([str(Path(__file__).with_name("stages"))])
    return sorted({module.name for module in modules} - {"code"})
