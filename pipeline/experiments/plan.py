"""The plan of the experiments: which methods are taught what, on which sensors of which corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml
from pydantic import Field, ValidationError, model_validator

from pipeline import registry
from pipeline.errors import ConsilienceError
from pipeline.experiments.scenarios import Scenario
from pipeline.params import Section


class Entry(NamedTuple):
    """One row of the tables: a method under parameters of its own.

    Attributes
    ----------
    name : str
    method : str
        A registered method.
    params : MethodParams
    """

    name: str
    method: str
    params: Any


class Source(Section):
    """A corpus: a folder beside the plan, of the same name, with ``params.yaml``."""

    root: str = Field(description="its recordings, as in its params.yaml")


class Experiment(Section):
    """Several methods taught the same on the same windows."""

    corpus: str
    sensors: list[str] = Field(min_length=1)
    entries: list[str] = Field(min_length=1, description="their names, or those of groups")
    scenario: Scenario = Scenario()
    seeds: list[int] | None = Field(None, min_length=1, description="null: the corpus's own")
    grid: Literal["full", "short"] = Field(
        "full", description="short: for curves, the only corruption is noise"
    )


class Cost(Section):
    """Whose costs are measured, on the windows of which experiment."""

    experiment: str
    entries: list[str] = Field(min_length=1, description="their names, or those of groups")


class Plan(Section):
    """All of ``experiments.yaml``."""

    corpora: dict[str, Source] = Field(min_length=1)
    entries: dict[str, dict[str, Any]] = Field(
        min_length=1, description="a method each, and those of its parameters that differ"
    )
    groups: dict[str, list[str]] = Field({}, description="names for several entries at once")
    experiments: dict[str, Experiment] = Field(min_length=1)
    cost: Cost

    @model_validator(mode="after")
    def _names_known(self) -> Plan:
        for name, experiment in self.experiments.items():
            if experiment.corpus not in self.corpora:
                raise ValueError(f"{name}: there is no corpus '{experiment.corpus}'")
        if self.cost.experiment not in self.experiments:
            raise ValueError(f"cost: there is no experiment '{self.cost.experiment}'")
        for names in (self.cost.entries, *(e.entries for e in self.experiments.values())):
            unknown = set(self.expanded(names)) - set(self.entries)
            if unknown:
                raise ValueError(f"there is no entry or group '{min(unknown)}'")
        return self

    def expanded(self, names: list[str]) -> list[str]:
        """Return the entries' names behind names of entries and groups, each once, in order."""
        found = [one for name in names for one in self.groups.get(name, [name])]
        return list(dict.fromkeys(found))

    def entry(self, name: str) -> Entry:
        """Return the method and the checked parameters behind an entry's name.

        Raises
        ------
        ConsilienceError
            If there is no such method or it does not know a parameter.
        """
        where = f"experiments.yaml: entries.{name}"
        fields = dict(self.entries[name])
        if "method" not in fields:
            raise ConsilienceError("no method is named", where, "add 'method: …'")
        method = fields.pop("method")
        kind = registry.find("methods", method)
        try:
            return Entry(name, method, kind.Params.model_validate(fields))
        except ValidationError as error:
            raise _refused(error, where) from None


def load(path: Path) -> Plan:
    """Read and check a plan.

    Raises
    ------
    ConsilienceError
        If the file is missing, or names anything unknown.
    """
    if not path.is_file():
        raise ConsilienceError("there is no plan of experiments", str(path))
    try:
        plan = Plan.model_validate(yaml.safe_load(path.read_text()))
    except ValidationError as error:
        raise _refused(error, str(path)) from None
    for name in plan.entries:
        plan.entry(name)
    return plan


def _refused(error: ValidationError, where: str) -> ConsilienceError:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return ConsilienceError(f"{place}: {first['msg']}".removeprefix(": "), where)
