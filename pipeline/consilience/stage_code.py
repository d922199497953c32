"""Fingerprints of the code that each stage of a project depends on, one file per stage."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from pkgutil import iter_modules

from consilience import params
from consilience.core.files import write_bytes
from consilience.core.fingerprint import PACKAGE, CodeBase
from consilience.core.special_files import check_folder
from consilience.params import Params
from consilience.project import Project

STAGES = f"{PACKAGE}.stages"
# Stages whose other files bear names from params.yaml depend on this one, so that DVC runs none of
# them, and removes no output of theirs, before the names are checked.
CHECKED = "checked.json"

# Stages that run once per item, and the kind of plug-in that an item names.
ITEM_KINDS = {
    "synthesize": "datasets",
    "ingest": "modalities",
    "train": "methods",
    "score": "datasets",
}
# Stages that run encoders. The others import modalities too, but call no encoder.
ENCODING_STAGES = {"window", "corrupt", "train", "evaluate"}


def write_fingerprints(project: Project) -> None:
    """Check all parameters and write ``data/code/<stage>.json`` or ``<stage>-<item>.json``.

    Raises
    ------
    ConsilienceError
        If a parameter is missing, unknown or invalid.
    """
    settings = params.load(project.params_file)
    root = project.dataset_root
    if root.is_dir():
        check_folder(root)  # before DVC reads it for the stages that depend on it
    texts = {CHECKED: '{"parameters": "checked"}\n', **fingerprint_files(settings)}
    for name, text in texts.items():
        path = project.code / name
        # An unchanged file keeps its time, by which DVC sees that it need not be hashed again.
        if not path.is_file() or path.read_text() != text:
            write_bytes(path, text.encode())
    for path in project.code.glob("*.json"):
        if path.name not in texts:
            path.unlink()


def fingerprint_files(settings: Params) -> dict[str, str]:
    """Return the content of every fingerprint file by its name."""
    code = CodeBase()
    return {
        f"{name}.json": json.dumps(code.fingerprint([entry], plugins).document(), indent=1) + "\n"
        for name, entry, plugins in stage_instances(settings)
    }


def stage_instances(settings: Params) -> Iterator[tuple[str, str, Mapping[str, list[str]]]]:
    """Yield the name, the entry module and the plug-ins of every run of a stage.

    A stage that runs once per item loads that item alone of its kind.
    """
    encoders = sorted({modality.ENCODER for modality in settings.modalities.values()})
    in_use = {
        "datasets": [settings.dataset.name],
        "modalities": list(settings.modalities),
        "methods": list(settings.methods),
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
