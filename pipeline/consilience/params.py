"""Typed parameters: every number that changes an output, in ``params.yaml``."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from consilience.core import registry
from consilience.core.errors import ConsilienceError
from consilience.datasets.base import Dataset, bind_isolated, source_modality
from consilience.schema.params.alignment import AlignmentParams
from consilience.schema.params.annotation import AnnotationParams
from consilience.schema.params.base import Section, check_stated, read_yaml, validated
from consilience.schema.params.dataset import DatasetParams
from consilience.schema.params.gate import GateParams
from consilience.schema.params.plugins import DEFAULT_METHOD
from consilience.schema.params.privacy import PrivacyParams
from consilience.schema.params.query import QueryParams
from consilience.schema.params.robustness import RobustnessParams
from consilience.schema.params.synthesis import SynthesisParams
from consilience.schema.params.training import TrainingParams
from consilience.schema.params.windows import SplitParams, WindowParams

METHODS = ("concat", "late_fusion", "hybrid", DEFAULT_METHOD)
HEADING = """\
# Every number that changes an output. 'consilience use DATASET --root FOLDER' writes it anew for
# another dataset; 'dvc exp run -S section.name=value' tries a value once.
"""


class Params(Section):
    """All of ``params.yaml``; `modalities` and `methods` hold each plug-in's own model."""

    dataset: DatasetParams
    synthesis: SynthesisParams
    modalities: dict[str, Any] = Field(min_length=1)
    alignment: AlignmentParams
    annotation: AnnotationParams
    windows: WindowParams
    splits: SplitParams
    training: TrainingParams
    methods: dict[str, Any] = Field(min_length=1)
    robustness: RobustnessParams
    privacy: PrivacyParams
    query: QueryParams
    gate: GateParams


def load(path: Path) -> Params:
    """Read and check the parameters.

    Raises
    ------
    ConsilienceError
        If the file is missing or not YAML, a key is unknown or misspelt, a
        parameter is missing or a value is out of its range.
    """
    return parse(read_yaml(path), str(path))


def parse(content: Any, where: str = "params.yaml") -> Params:
    """Check parameters given as nested dicts; see `load`.

    A plug-in's parameters have defaults for ``consilience use`` to write out,
    yet the file must state every one: no number that changes an output is hidden.
    """
    params = _typed(content, where)
    check_stated(params, (), where)
    return params


def defaults(
    dataset: str,
    root: str | None = None,
    modalities: Sequence[str] = (),
    folder: Path = Path(),
) -> dict[str, Any]:
    """Return the complete parameters for a dataset: the defaults under its own preset.

    Parameters
    ----------
    dataset : str
        Name of a registered dataset.
    root : str or None
        Where its recordings are; None for the demonstration corpus's own place.
    modalities : sequence of str
        Those to use of the dataset's, in this order; none for its usual ones.
    folder : Path
        The project's folder, which a relative `root` starts from.

    Raises
    ------
    ConsilienceError
        If the dataset is unknown, it does not offer a modality, or `root` is required and None.
    """
    source: Dataset = registry.get("datasets", dataset)
    synthetic = [dataset] if dataset == "demo" and root is None else []
    if root is None and not synthetic:
        raise ConsilienceError(
            f"where is the dataset '{dataset}'?", "consilience use", f"use {dataset} --root FOLDER"
        )
    if root is not None:
        source = bind_isolated(source, folder / root)
    for name in modalities:
        if source_modality(source, name) is None:
            raise ConsilienceError(
                f"the dataset '{dataset}' does not offer '{name}'",
                "consilience use",
                f"it offers {', '.join(source.modalities)}",
            )
    preset = {"modalities": {name: {} for name in source.modalities}, **source.preset}
    content: dict[str, Any] = {
        "dataset": {"name": dataset, "root": root or f"data/raw/{dataset}", "synthetic": synthetic},
        "synthesis": {},
        "modalities": {},
        "alignment": {},
        "annotation": {},
        "windows": {},
        "splits": {},
        "training": {},
        "methods": {name: {} for name in METHODS},
        "robustness": {},
        "privacy": {},
        "query": {},
        "gate": {},
    }
    if modalities:
        preset["modalities"] = {
            name: _supported_fields(name, _preset_fields(source, name, preset["modalities"]))
            for name in modalities
        }
    for section, values in preset.items():
        content[section] = {**content[section], **values}
    return completed(content, "defaults")


def completed(content: dict[str, Any], where: str) -> dict[str, Any]:
    """Return parameters with the defaults of those that are not stated.

    Parameters
    ----------
    content : dict
        All sections.
    where : str
        What the errors name.

    Raises
    ------
    ConsilienceError
        If a key is unknown or misspelt, or a value is out of its range.
    """
    return _typed(content, where).model_dump(mode="json", serialize_as_any=True)


def _preset_fields(
    dataset: Dataset, modality: str, preset: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Return the fields of a preset for a modality, or for that whose recordings it reads.

    Sensors of a family differ in what they read, so that none has another's fields.
    """
    if modality in preset or registry.family("modalities", modality):
        return preset.get(modality, {})
    return preset.get(source_modality(dataset, modality) or "", {})


def _supported_fields(modality: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the preset's fields that exist in the parameters of a modality.

    A preset may belong to another modality that reads the same recordings.
    """
    supported = registry.params("modalities", modality).model_fields
    return {name: value for name, value in fields.items() if name in supported}


def document(content: dict[str, Any], remarks: Sequence[str] = ()) -> str:
    """Return complete parameters as YAML, each with its description as a comment.

    Parameters
    ----------
    content : dict
    remarks : sequence of str
        Lines of the heading.
    """
    params = _typed(content, "defaults")
    yaml_writer = YAML()
    yaml_writer.width = 1000
    yaml_writer.representer.add_representer(
        type(None), lambda yaml, _: yaml.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    text = io.StringIO()
    yaml_writer.dump(_commented(params), text)
    return HEADING + "".join(f"# {line}\n" for line in remarks) + text.getvalue()


def _commented(value: Any) -> Any:
    if isinstance(value, BaseModel):
        described = CommentedMap()
        for name, field in type(value).model_fields.items():
            described[name] = _commented(getattr(value, name))
            if field.description:
                described.yaml_add_eol_comment(field.description, name)
        return described
    if isinstance(value, dict):
        return CommentedMap({key: _commented(item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        sequence = CommentedSeq(value)
        sequence.fa.set_flow_style()
        return sequence
    return value


def _typed(content: Any, where: str) -> Params:
    if not isinstance(content, dict):
        raise ConsilienceError("not a mapping of sections", where, "run 'consilience use demo'")
    plugins = {
        kind: {
            name: validated(registry.params(kind, name), fields or {}, where, (kind, name))
            for name, fields in content[kind].items()
        }
        for kind in ("modalities", "methods")
        if isinstance(content.get(kind), dict)
    }
    return validated(Params, {**content, **plugins}, where, ())
