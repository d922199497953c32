"""Begins a modality or a dataset: its one file and its test, from a template, to be filled in."""

from __future__ import annotations

import importlib
import keyword
import re
from pathlib import Path

import consilience
from consilience import params
from consilience.core import registry
from consilience.core.errors import ConsilienceError
from consilience.core.files import write_bytes
from consilience.datasets.base import bind_to_root

TEMPLATES = Path(__file__).with_name("templates")
KINDS = {"modality": "modalities", "dataset": "datasets"}


def begin(kind: str, name: str) -> list[Path]:
    """Write the file of a new modality or dataset and its test; never overwrite one.

    Parameters
    ----------
    kind : str
        ``"modality"`` or ``"dataset"``.
    name : str
        A lower-case identifier that none of its kind has.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    ConsilienceError
        If the name will not do, a file is there already, or this is not the project's folder.
    """
    plural = KINDS[kind]
    _check_name(kind, name)
    files = {
        Path(f"pipeline/consilience/{plural}/{name}.py"): TEMPLATES / f"{kind}.txt",
        Path(f"tests/{plural}/test_{name}.py"): TEMPLATES / f"test_{kind}.txt",
    }
    if Path("pipeline/consilience").resolve() != Path(consilience.__file__).resolve().parent:
        raise ConsilienceError(
            "this is not the folder of the project that runs",
            str(Path.cwd()),
            f"change to {Path(consilience.__file__).resolve().parents[2]}",
        )
    for path in files:
        if path.exists():
            raise ConsilienceError("the file is there already", str(path), "choose another name")
    title = "".join(part.capitalize() for part in name.split("_"))
    for path, template in files.items():
        text = template.read_text().replace("NAME", name).replace("Title", title)
        write_bytes(path, text.encode())
    importlib.invalidate_caches()
    return list(files)


def enter(name: str) -> bool:
    """Add a modality to params.yaml if the dataset named there has recordings of it.

    Returns
    -------
    bool
        Whether it did. What else the file says stays.

    Raises
    ------
    ConsilienceError
        As `consilience.schema.params.load`.
    """
    if not params.PARAMS_FILE.is_file():
        return False
    settings = params.load()
    root = Path(settings.dataset.root)
    if name in settings.modalities or not root.is_dir():
        return False
    try:
        dataset = bind_to_root(registry.get("datasets", settings.dataset.name), root)
        listed = {entry.modality for entry in dataset.list(root).entries}
    except ConsilienceError:
        return False
    if name not in listed:
        return False
    content = settings.model_dump(mode="json", serialize_as_any=True)
    content["modalities"][name] = {}
    write_bytes(params.PARAMS_FILE, params.document(content).encode())
    return True


def _check_name(kind: str, name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise ConsilienceError(
            f"'{name}' cannot name a {kind}",
            "consilience new",
            "use a-z, 0-9 and _, beginning with a letter",
        )
    if name in registry.names(KINDS[kind]) or name == "base":
        raise ConsilienceError(
            f"there is a {kind} '{name}' already", "consilience new", "choose another name"
        )
