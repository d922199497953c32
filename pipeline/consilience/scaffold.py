"""Writes params.yaml for a dataset, and the files of a new plug-in from templates."""

from __future__ import annotations

import importlib
import json
import keyword
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import consilience
from consilience import params
from consilience.core import registry, study
from consilience.core.errors import ConsilienceError
from consilience.core.files import write_bytes
from consilience.datasets.base import list_isolated
from consilience.ingest.recorded import recorded
from consilience.project import Project
from consilience.schema.params.privacy import PrivacyParams

TEMPLATES = Path(__file__).with_name("templates")
KINDS = {"modality": "modalities", "dataset": "datasets", "method": "methods"}
BASES = {"modality": ("single-channel",)}  # base classes that have a template of their own


def write_params(
    project: Project,
    dataset: str,
    root: str | None,
    modalities: Sequence[str],
    force: bool,
    privacy: Mapping[str, bool] | None = None,
) -> list[str]:
    """Write ``params.yaml`` for a dataset, with the EEG channels that its recordings have.

    Parameters
    ----------
    project : Project
    dataset, root, modalities
        As in `consilience.params.defaults`.
    force : bool
        Whether to overwrite a file that has been edited.
    privacy : mapping of str to bool, optional
        Parameters of the section ``privacy``; those of an earlier file are kept.

    Returns
    -------
    list of str
        What was found in the recordings, one line per modality; also the heading of the file.

    Raises
    ------
    ConsilienceError
        As `consilience.params.defaults`; if `root` is not a directory, or the file was edited.
    """
    if root is not None and not (project.root / root).is_dir():
        raise ConsilienceError(
            "not a directory", str(project.root / root), "name the folder of the recordings: --root"
        )
    content, lines = _content(project, dataset, root, modalities)
    if not force and _is_edited(project):
        raise ConsilienceError(
            "it differs from what 'consilience use' has written",
            str(project.params_file),
            "add --force to overwrite it, or keep a copy elsewhere",
        )
    content["privacy"] |= {**_privacy(project), **(privacy or {})}
    write_bytes(project.params_file, params.document(content, lines).encode())
    return lines


def _privacy(project: Project) -> dict[str, bool]:
    """Return the section ``privacy`` of params.yaml; empty without one."""
    try:
        section: dict[str, bool] = project.section(PrivacyParams).model_dump()
    except ConsilienceError:
        return {}
    return section


def _content(
    project: Project, dataset: str, root: str | None, modalities: Sequence[str]
) -> tuple[dict[str, Any], list[str]]:
    """Return the parameters for a dataset, and lines on what its recordings have."""
    content = params.defaults(dataset, root, modalities, project.root)
    if root is None:
        return content, []
    folder = project.root / root
    source, listing = list_isolated(registry.get("datasets", dataset), folder)
    contents = recorded(source, listing.entries, folder, list(content["modalities"]))
    for name, fields in content["modalities"].items():
        channels = contents[name].channels
        default = registry.params("modalities", name).model_fields.get("channels")
        # A preset's choice stays; so does the default, if the recordings have all of it.
        chosen = default is not None and list(default.default) != fields["channels"]
        if channels and not chosen and not set(fields["channels"]) <= set(channels):
            fields["channels"] = list(channels)
        if contents[name].aliases:
            fields["aliases"] = contents[name].aliases
    return content, [each.described(name) for name, each in contents.items()]


def _is_edited(project: Project) -> bool:
    """Return whether params.yaml differs from what `write_params` writes for its dataset."""
    if not project.params_file.is_file():
        return False
    try:
        written = project.content
        dataset = written["dataset"]
        root = None if dataset["synthetic"] else dataset["root"]
        expected, _ = _content(project, dataset["name"], root, list(written["modalities"]))
        expected["privacy"] = written["privacy"]  # set by options, and kept
    except (ConsilienceError, KeyError, TypeError):  # of no dataset that can be compared
        return True
    return json.loads(json.dumps(expected)) != json.loads(json.dumps(written))


def begin(project: Project, kind: str, name: str, base: str | None = None) -> list[Path]:
    """Write the file of a new plug-in and its test; existing files are never overwritten.

    Parameters
    ----------
    project : Project
        A study, in whose folders the files are written, or the clone whose package runs.
    kind : str
        ``"modality"``, ``"dataset"`` or ``"method"``.
    name : str
        A lower-case identifier that is not in use.
    base : str or None
        One of ``BASES[kind]``: the base class to derive from. None for the Protocol itself.

    Returns
    -------
    list of Path
        The files written, relative to the project.

    Raises
    ------
    ConsilienceError
        If the name is invalid or in use, the base is unknown, a file exists already, or the
        project's folder is neither a study nor the clone whose package runs.
    """
    _check_name(kind, name)
    template = _template(kind, base)
    code, test = _places(project, KINDS[kind], name)
    files = {code: TEMPLATES / f"{template}.txt", test: TEMPLATES / f"test_{template}.txt"}
    for path in files:
        if (project.root / path).exists():
            raise ConsilienceError("the file exists already", str(path), "choose another name")
    title = "".join(word.capitalize() for word in name.split("_"))
    for path, source in files.items():
        text = source.read_text().replace("NAME", name).replace("Title", title)
        write_bytes(project.root / path, text.encode())
    importlib.invalidate_caches()
    return list(files)


def add_to_params(project: Project, name: str) -> bool:
    """Add a modality to params.yaml if the dataset named there has recordings of it.

    Returns
    -------
    bool
        Whether it was added. The rest of the file keeps its values.

    Raises
    ------
    ConsilienceError
        As `consilience.params.load`.
    """
    if not project.params_file.is_file():
        return False
    settings = params.load(project.params_file)
    root = project.dataset_root
    if name in settings.modalities or not root.is_dir():
        return False
    try:
        _, listing = list_isolated(registry.get("datasets", settings.dataset.name), root)
        listed = {entry.modality for entry in listing.entries}
    except ConsilienceError:
        return False
    if name not in listed:
        return False
    content = settings.model_dump(mode="json", serialize_as_any=True)
    content["modalities"][name] = {}
    write_bytes(project.params_file, params.document(content).encode())
    return True


def _places(project: Project, plural: str, name: str) -> tuple[Path, Path]:
    """Return the files of a plug-in and of its test, relative to the project."""
    package = Path(consilience.__file__).resolve().parent
    if (project.root / "pipeline/consilience").resolve() == package:
        code = Path("pipeline/consilience", plural, f"{name}.py")
        return code, Path("tests", plural, f"test_{name}.py")
    if not project.params_file.is_file():
        raise ConsilienceError(
            "not the folder of a study", str(project.root), "'consilience init' creates one"
        )
    return Path(study.FOLDERS[plural], f"{name}.py"), Path(f"tests/test_{name}.py")


def _check_name(kind: str, name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise ConsilienceError(
            f"'{name}' cannot name a {kind}",
            "consilience new",
            "use a-z, 0-9 and _, beginning with a letter",
        )
    if name in registry.names(KINDS[kind]) or name in registry.SHARED:
        raise ConsilienceError(
            f"the name '{name}' is in use already", "consilience new", "choose another name"
        )


def _template(kind: str, base: str | None) -> str:
    """Return the name of the template for a kind and a base class."""
    if base is None:
        return kind
    if base not in BASES.get(kind, ()):
        offered = ", ".join(BASES.get(kind, ())) or "none"
        raise ConsilienceError(
            f"unknown base '{base}' of a {kind}", "consilience new", f"known: {offered}"
        )
    return base.replace("-", "_")
