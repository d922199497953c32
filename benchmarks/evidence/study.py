"""Paths of the evidence project, and which code each of its stages depends on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.evidence import plan
from benchmarks.evidence.plan import Experiment, Plan
from consilience.core.files import write_bytes
from consilience.core.fingerprint import KINDS, CodeBase
from consilience.modalities.settings import inputs_names
from consilience.project import Project

STAGES = f"{__package__}.stages"


class Study:
    """The folder with ``experiments.yaml``, the corpora and the results.

    Parameters
    ----------
    root : Path or str
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root).absolute()

    @property
    def plan_file(self) -> Path:
        """The plan of the experiments."""
        return self.root / "experiments.yaml"

    def corpus(self, name: str) -> Project:
        """Return the project of a corpus: its own ``params.yaml`` and ``data/``."""
        return Project(self.root / name)

    @property
    def data(self) -> Path:
        """Everything derived from the corpora."""
        return self.root / "data"

    @property
    def code(self) -> Path:
        """Code fingerprints, one file per stage."""
        return self.data / "code"

    @property
    def store(self) -> Path:
        """Results by key, kept between runs."""
        return self.data / ".store" / "experiments"

    def tuning(self, experiment: str) -> Path:
        """Return the file of the settings chosen on an experiment."""
        return self.data / "tuning" / f"{experiment}.json"

    @property
    def results(self) -> Path:
        """Results of every experiment, a folder each."""
        return self.data / "results"

    @property
    def cost(self) -> Path:
        """Cost of every method."""
        return self.data / "cost.json"

    @property
    def pages(self) -> Path:
        """The pages, which ``make evidence`` copies to ``docs/evidence``."""
        return self.data / "pages"


def write_fingerprints(study: Study) -> None:
    """Write ``data/code/<stage>.json`` for every stage of the evidence project."""
    code = CodeBase(study.store)
    planned = plan.load(study.plan_file)
    names = set()
    for name, entry, plugins in stage_instances(study, planned):
        text = json.dumps(code.fingerprint([entry], plugins).document(), indent=1) + "\n"
        path = study.code / f"{name}.json"
        names.add(path.name)
        # An unchanged file keeps its time, by which DVC sees that it need not be hashed again.
        if not path.is_file() or path.read_text() != text:
            write_bytes(path, text.encode())
    for path in study.code.glob("*.json"):
        if path.name not in names:
            path.unlink()


def stage_instances(
    study: Study, planned: Plan
) -> Iterator[tuple[str, str, Mapping[str, list[str]]]]:
    """Yield the name, the entry module and the plug-ins of every run of a stage."""
    for name, source in planned.corpora.items():
        content = study.corpus(name).content
        plugins = {
            "datasets": [content["dataset"]["name"]],
            "modalities": list(content["modalities"]),
            "methods": [],
            "inputs": inputs_names(content["modalities"]),
            "encoders": [],
        }
        for synthetic in content["dataset"]["synthetic"]:
            yield f"synthesize-{synthetic}", f"{STAGES}.synthesize", plugins
        if source.archive is not None:
            yield f"unpack-{name}", f"{STAGES}.unpack", {kind: [] for kind in KINDS}
        yield f"windows-{name}", f"{STAGES}.windows", plugins
    for name in planned.tuned:
        yield f"tune-{name}", f"{STAGES}.tune", _plugins(planned, planned.experiments[name])
    for name, experiment in planned.experiments.items():
        yield f"experiment-{name}", f"{STAGES}.experiment", _plugins(planned, experiment)
    costed = planned.experiments[planned.cost.experiment]
    costed = costed.model_copy(update={"entries": planned.cost.entries})
    yield "cost", f"{STAGES}.cost", _plugins(planned, costed)
    yield "pages", f"{STAGES}.pages", {kind: [] for kind in KINDS}


def _plugins(planned: Plan, experiment: Experiment) -> Mapping[str, list[str]]:
    """Return the plug-ins behind an experiment; its corpus is windows by then, of no dataset."""
    entries = [planned.entry(name) for name in planned.expanded(experiment.entries)]
    return {
        "datasets": [],
        "modalities": list(experiment.sensors),
        "methods": sorted({entry.method for entry in entries}),
    }
