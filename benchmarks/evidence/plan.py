"""The plan of the experiments: methods, their training labels, sensors and corpora."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field, ValidationError, model_validator
from ruamel.yaml import YAML

from benchmarks.evidence.scenarios import Scenario
from consilience.core import registry
from consilience.core.errors import ConsilienceError
from consilience.schema.params.base import Section
from consilience.schema.params.training import TrainingParams

Baseline = Literal["none", "recording", "person", "running", "enrolment"]


class TrainingChanges(Section):
    """Training parameters that an entry or a trial may change; the others are the corpus's own."""

    learning_rate: float | None = Field(None, gt=0)
    weight_decay: float | None = Field(None, ge=0)
    dropout: float | None = Field(None, ge=0, lt=1)
    corrupted: float | None = Field(None, ge=0, le=1)
    modality_dropout: float | None = Field(None, ge=0, lt=1)
    baseline: Baseline | None = None
    enrolment: str | None = None
    enrolment_s: float | None = Field(None, gt=0)

    def applied_to(self, training: TrainingParams) -> TrainingParams:
        """Return the training with these changes."""
        return training.model_copy(update=self.model_dump(exclude_none=True))


class Entry(NamedTuple):
    """One row of the tables: a method with its parameters.

    Attributes
    ----------
    name : str
    method : str
        A registered method.
    params : MethodParams
    training : TrainingChanges
    """

    name: str
    method: str
    params: Any
    training: TrainingChanges

    def identity(self) -> list[str]:
        """Return everything that its results on given windows depend on."""
        return [self.method, self.params.model_dump_json(), self.training.model_dump_json()]


class Source(Section):
    """A corpus: a folder of the same name beside the plan, with ``params.yaml``."""

    root: str = Field(description="its recordings, as in its params.yaml")
    archive: str | None = Field(
        None, description="tar file that is unpacked into the root first; null: not needed"
    )


class Experiment(Section):
    """Several methods trained with the same labels on the same windows."""

    corpus: str
    sensors: list[str] = Field(min_length=1)
    entries: list[str] = Field(min_length=1, description="their names, or those of groups")
    scenario: Scenario = Scenario()
    seeds: list[int] | None = Field(None, min_length=1, description="null: the corpus's own")
    grid: Literal["full", "short"] = Field(
        "full", description="short: for curves, the only corruption is noise"
    )
    chosen_on: str | None = Field(
        None, description="experiment whose validation subjects chose the settings; null: none did"
    )


class Cost(Section):
    """Entries whose cost is measured, and the experiment that provides the windows."""

    experiment: str
    entries: list[str] = Field(min_length=1, description="their names, or those of groups")


class Plan(Section):
    """All of ``experiments.yaml``."""

    corpora: dict[str, Source] = Field(min_length=1)
    entries: dict[str, dict[str, Any]] = Field(
        min_length=1,
        description="a method each, and those of its parameters that differ from the defaults; or "
        "the entry it is like, whose method and settings it shares, and what differs",
    )
    groups: dict[str, list[str]] = Field({}, description="names for several entries at once")
    candidates: dict[str, list[dict[str, Any]]] = Field(
        {},
        description="settings that an entry is tried with, the same number for each",
    )
    tuned: dict[str, str] = Field(
        {}, description="experiments on which settings are chosen, and their corpora"
    )
    experiments: dict[str, Experiment] = Field(min_length=1)
    cost: Cost

    @model_validator(mode="after")
    def _names_known(self) -> Plan:
        for name, experiment in self.experiments.items():
            if experiment.corpus not in self.corpora:
                raise ValueError(f"{name}: unknown corpus '{experiment.corpus}'")
        if self.cost.experiment not in self.experiments:
            raise ValueError(f"cost: unknown experiment '{self.cost.experiment}'")
        for names in (self.cost.entries, *(e.entries for e in self.experiments.values())):
            unknown = set(self.expanded(names)) - set(self.entries)
            if unknown:
                raise ValueError(f"unknown entry or group '{min(unknown)}'")
        return self

    @model_validator(mode="after")
    def _origins_known(self) -> Plan:
        origins = {name for name, fields in self.entries.items() if "like" not in fields}
        for name in self.entries:
            if self.origin(name) not in origins:
                raise ValueError(f"entries.{name}: 'like' must name an entry with a method")
        for name in self.candidates:
            if name not in origins:
                raise ValueError(f"candidates: '{name}' is not an entry with a method")
        return self

    @model_validator(mode="after")
    def _tuned_alike(self) -> Plan:
        if len({len(tried) for tried in self.candidates.values()}) > 1:
            raise ValueError("candidates: every entry must have the same number of settings")
        for name, corpus in self.tuned.items():
            if name not in self.experiments or self.experiments[name].corpus != corpus:
                raise ValueError(f"tuned: '{name}' is not an experiment on corpus '{corpus}'")
            untried = set(self.origins(name)) - set(self.candidates)
            if untried:
                raise ValueError(f"candidates: missing for '{min(untried)}' of {name}")
        for name, experiment in self.experiments.items():
            if experiment.chosen_on is not None:
                self._same_folds(name, experiment.chosen_on)
        return self

    def _same_folds(self, name: str, chosen_on: str) -> None:
        if chosen_on not in self.tuned:
            raise ValueError(f"{name}: '{chosen_on}' is not tuned")
        here, there = self.experiments[name], self.experiments[chosen_on]
        if (here.corpus, here.scenario.random_split) != (there.corpus, there.scenario.random_split):
            raise ValueError(f"{name}: '{chosen_on}' has different folds")
        untuned = set(self.origins(name)) - set(self.origins(chosen_on))
        if untuned:
            raise ValueError(f"{name}: '{min(untuned)}' is not tuned on {chosen_on}")

    def origin(self, name: str) -> str:
        """Return the entry whose settings an entry uses: itself, or the one it is like."""
        return str(self.entries[name].get("like", name))

    def origins(self, experiment: str) -> list[str]:
        """Return the entries whose settings an experiment uses, without duplicates, in order."""
        names = self.expanded(self.experiments[experiment].entries)
        return list(dict.fromkeys(self.origin(name) for name in names))

    def trials(self, name: str) -> list[dict[str, Any]]:
        """Return the changes of every trial of an entry: none, then its candidates."""
        return [{}, *self.candidates[name]]

    def expanded(self, names: list[str]) -> list[str]:
        """Replace groups by the names of their entries, without duplicates, in order."""
        entries = [entry for name in names for entry in self.groups.get(name, [name])]
        return list(dict.fromkeys(entries))

    def entry(self, name: str, changes: Mapping[str, Any] | None = None) -> Entry:
        """Return the method and the checked parameters of an entry.

        Parameters
        ----------
        name : str
        changes : mapping, optional
            Chosen settings of its origin. What an entry like another states itself overrides them.

        Raises
        ------
        ConsilienceError
            If the method or a parameter is unknown.
        """
        where = f"experiments.yaml: {'candidates' if changes else 'entries'}.{name}"
        origin, changes = self.origin(name), changes or {}
        overrides = self.entries[name] if origin != name else {}
        fields = {**self.entries[origin], **changes, **overrides}
        fields.pop("like", None)
        if "method" not in fields:
            raise ConsilienceError("no method", where, "add 'method: …'")
        method, training = fields.pop("method"), fields.pop("training", {})
        params_class = registry.params("methods", method)
        if "training" in changes and params_class.model_fields:
            raise ConsilienceError(
                f"{method} has parameters of its own", where, "try those, not the training's"
            )
        try:
            return Entry(
                name,
                method,
                params_class.model_validate(fields),
                TrainingChanges.model_validate(training),
            )
        except ValidationError as error:
            raise _invalid(error, where) from None


def load(path: Path) -> Plan:
    """Read and check a plan.

    Raises
    ------
    ConsilienceError
        If the file is missing or invalid.
    """
    if not path.is_file():
        raise ConsilienceError("missing plan of experiments", str(path))
    try:
        plan = Plan.model_validate(YAML(typ="safe").load(path.read_text()))
    except ValidationError as error:
        raise _invalid(error, str(path)) from None
    for name in plan.entries:
        plan.entry(name)
    for name in plan.candidates:
        trials = [plan.entry(name, changes) for changes in plan.trials(name)]
        if len(set(trials)) < len(trials):
            raise ConsilienceError("duplicate setting", f"{path}: candidates.{name}")
    return plan


def _invalid(error: ValidationError, where: str) -> ConsilienceError:
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return ConsilienceError(f"{place}: {first['msg']}".removeprefix(": "), where)
