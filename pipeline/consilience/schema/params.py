"""Typed parameters: every number that changes an output, in ``params.yaml``."""

from __future__ import annotations

import difflib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from consilience.core import registry
from consilience.core.errors import ConsilienceError
from consilience.datasets.base import Dataset, listed_as, opened

PARAMS_FILE = Path("params.yaml")
METHODS = ("concat", "late_fusion", "hybrid", "coherence_transfer")
HEADING = """\
# Every number that changes an output. 'consilience use DATASET --root FOLDER' writes it anew for
# another dataset; 'dvc exp run -S section.name=value' tries a value once.
"""

AnyModel = TypeVar("AnyModel", bound=BaseModel)
Delay = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """A block of ``params.yaml``; a key it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DatasetParams(Section):
    """Which recordings to use."""

    name: str = Field("demo", description="'consilience names' lists the known ones")
    root: str = Field("data/raw/demo", description="folder of the recordings")
    synthetic: list[str] = Field(
        ["demo"], description="corpora to synthesize, and to score against their ground truth"
    )
    on_problem: Literal["quarantine", "fail"] = Field(
        "quarantine", description="or fail: stop at the first stage that finds a bad recording"
    )


class SynthesisParams(Section):
    """Size and difficulty of the demonstration corpus."""

    subjects: int = Field(8, ge=1, description="simulated people")
    sessions: int = Field(2, ge=1, description="of each subject")
    trials: int = Field(8, ge=1, description="emotional episodes of a session")
    trial_s: float = Field(6.0, ge=1, description="length of a trial")
    missing_fraction: float = Field(0.1, ge=0, le=0.3, description="recordings never made")
    faulty_fraction: float = Field(0.1, ge=0, le=0.3, description="recordings with a fault")
    max_offset_s: float = Field(2.0, ge=0, description="of a device's clock, either way")
    max_drift_ppm: float = Field(300.0, ge=0, description="of a device's clock, either way")


class AlignmentParams(Section):
    """How clocks are matched, and when a recording counts as aligned."""

    max_offset_s: float = Field(5.0, gt=0, description="largest offset between two clocks")
    max_drift_ppm: float = Field(500.0, gt=0, description="largest drift between two clocks")
    match_tolerance_ms: float = Field(
        60.0, gt=0, description="a pulse this near to a scheduled one can be it"
    )
    tolerance_ms: float = Field(20.0, gt=0, description="a clock may be wrong by: half a frame")
    min_confidence: float = Field(
        0.99, gt=0, lt=1, description="aligned if the clock is this surely within the tolerance"
    )
    min_anchors: int = Field(
        3, ge=2, description="fewer matched pulses leave a recording unaligned"
    )
    sound_window_s: float = Field(
        8.0, gt=0, description="of two sound tracks, compared at a time to find their delay"
    )

    def sample_tolerance_ms(self, rate_hz: float | None) -> float:
        """Return the tolerance, or half a sample where that is more."""
        return max(self.tolerance_ms, 500 / rate_hz) if rate_hz else self.tolerance_ms


class AnnotationParams(Section):
    """How annotations become labels."""

    source: Literal["observers", "self"] = Field(
        "observers", description="whose judgements are the labels; self: the subjects' own reports"
    )
    scale: Literal["interval", "ordinal"] = Field(
        "interval", description="of ratings of trials; ordinal: only their order counts"
    )
    reaction_lag_s: Literal["auto"] | Annotated[float, Field(ge=0)] = Field(
        "auto", description="traces are moved back by it; auto: found for each annotator"
    )
    max_reaction_lag_s: float = Field(8.0, gt=0, description="lags are sought up to this")
    usual_reaction_lag_s: float = Field(
        2.0, ge=0, description="mean of the lags where no border of trials tells it"
    )


class WindowParams(Section):
    """Windows on the session clock; ``length_s: null`` takes each trial as one window."""

    length_s: float | None = Field(4.0, gt=0, description="null: one window per trial")
    hop_s: float = Field(2.0, gt=0)
    cross_trials: bool = Field(
        False, description="true: windows lie all over a session, whatever trials they cross"
    )
    max_length_s: float = Field(6.0, gt=0, description="a longer trial is cut, if length_s is null")
    min_coverage: float = Field(
        0.5, gt=0, le=1, description="share of a window a sensor must cover to count as available"
    )
    desync_s: tuple[Delay, Delay, Delay, Delay, Delay] = Field(
        (0.1, 0.25, 0.5, 1.0, 2.0), description="by which a clock is wrong at severities 1 to 5"
    )

    @field_validator("desync_s")
    @classmethod
    def _rising(cls, desync_s: tuple[float, ...]) -> tuple[float, ...]:
        if list(desync_s) != sorted(set(desync_s)):
            raise ValueError("must rise from severity to severity")
        return desync_s


class SplitParams(Section):
    """Subject-independent folds."""

    folds: int = Field(8, ge=2, description="every subject is in one fold's test set")
    validation_subjects: int = Field(2, ge=1, description="of each fold, for early stopping")


class TrainingParams(Section):
    """Budget and augmentations, the same for every method."""

    seeds: list[int] = Field([0, 1, 2], min_length=1)
    epochs: int = Field(20, ge=1)
    patience: int = Field(
        8, ge=1, description="epochs without improvement after which training may stop"
    )
    epoch_steps: int = Field(
        2, ge=1, description="least steps of an epoch, however few windows there are"
    )
    batch_size: int = Field(128, ge=1)
    learning_rate: float = Field(3e-3, gt=0)
    weight_decay: float = Field(0.1, ge=0)
    width: int = Field(64, ge=1)
    dropout: float = Field(0.4, ge=0, lt=1)
    head: Literal["hidden", "linear"] = Field(
        "hidden", description="linear: no hidden layer over the encodings"
    )
    modality_dropout: float = Field(0.3, ge=0, lt=1)
    noise: float = Field(1.0, ge=0, description="largest, in standard deviations of the features")
    feature_dropout: float = Field(0.2, ge=0, lt=1)
    cpu_threads: int = Field(1, ge=1, description="can change the last bits of a result")


class RobustnessParams(Section):
    """How the evaluation measures."""

    bootstrap: int = Field(
        2000, ge=100, description="resamples of the subjects behind every interval"
    )
    calibration_bins: int = Field(15, ge=2)


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


def load(path: Path = PARAMS_FILE) -> Params:
    """Read and check the parameters.

    Raises
    ------
    ConsilienceError
        If the file is missing or not YAML, a key is unknown or misspelt, a
        parameter is missing or a value is out of its range.
    """
    if not path.is_file():
        raise ConsilienceError("there are no parameters", str(path), "run 'consilience use demo'")
    try:
        content = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        line = " ".join(str(error).split())
        raise ConsilienceError(f"not valid YAML: {line}", str(path)) from None
    return parse(content, str(path))


def parse(content: Any, where: str = "params.yaml") -> Params:
    """Check parameters given as nested dicts; see `load`.

    A plug-in's parameters have defaults for ``consilience use`` to write out,
    yet the file must state every one: no number that changes an output is hidden.
    """
    params = _typed(content, where)
    missing = list(_unstated(params, ()))
    if missing:
        raise ConsilienceError(
            f"parameter {missing[0]} is missing",
            where,
            "state it; 'consilience use' writes them all",
        )
    return params


def defaults(
    dataset: str, root: str | None = None, modalities: Sequence[str] = ()
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

    Raises
    ------
    ConsilienceError
        If there is no such dataset, it does not offer a modality, or `root` is needed and not
        given.
    """
    source: Dataset = registry.find("datasets", dataset)
    synthetic = [dataset] if dataset == "demo" and root is None else []
    if root is None and not synthetic:
        raise ConsilienceError(
            f"where is the dataset '{dataset}'?", "consilience use", f"use {dataset} --root FOLDER"
        )
    if root is not None:
        source = opened(source, Path(root))
    for name in modalities:
        if listed_as(source, name) is None:
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
    }
    if modalities:
        preset["modalities"] = {
            name: _known_to(name, preset["modalities"].get(listed_as(source, name), {}))
            for name in modalities
        }
    for section, values in preset.items():
        content[section] = {**content[section], **values}
    return _typed(content, "defaults").model_dump(mode="json", serialize_as_any=True)


def _known_to(modality: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Return what a modality knows of a preset that may be meant for another reading."""
    known = registry.find("modalities", modality).Params.model_fields
    return {name: value for name, value in fields.items() if name in known}


def document(content: dict[str, Any]) -> str:
    """Return complete parameters as YAML, each with its description as a comment."""
    params = _typed(content, "defaults")
    yaml_writer = YAML()
    yaml_writer.width = 1000
    yaml_writer.representer.add_representer(
        type(None), lambda yaml, _: yaml.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    text = io.StringIO()
    yaml_writer.dump(_commented(params), text)
    return HEADING + text.getvalue()


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
            name: _validated(registry.find(kind, name).Params, fields or {}, where, (kind, name))
            for name, fields in content[kind].items()
        }
        for kind in ("modalities", "methods")
        if isinstance(content.get(kind), dict)
    }
    return _validated(Params, {**content, **plugins}, where, ())


def _validated(
    model: type[AnyModel], content: Any, where: str, section: tuple[str, ...]
) -> AnyModel:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ConsilienceError(_explain(error, model, section), where) from None


def _unstated(model: BaseModel, path: tuple[str, ...]) -> Iterator[str]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        if name not in model.model_fields_set:
            yield ".".join((*path, name))
        elif isinstance(value, BaseModel):
            yield from _unstated(value, (*path, name))
        elif isinstance(value, dict):
            for key, item in value.items():
                if isinstance(item, BaseModel):
                    yield from _unstated(item, (*path, name, key))


def _explain(error: ValidationError, model: type[BaseModel], section: tuple[str, ...]) -> str:
    first = error.errors()[0]
    place = ".".join((*section, *(str(part) for part in first["loc"])))
    if first["type"] == "extra_forbidden":
        known = _fields_at(model, first["loc"][:-1])
        close = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"
        return f"unknown parameter {place}; {hint}"
    if first["type"] == "missing":
        return f"parameter {place} is missing"
    return f"parameter {place} = {first['input']!r}: {first['msg']}"


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    for part in location:
        field = model.model_fields.get(str(part))
        if field and isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            model = field.annotation
    return list(model.model_fields)
