"""Origin of a report: data, code, libraries, seeds and parameters.

All of it is part of the stages' inputs, so that equal inputs give an equal page. What differs
between equal runs (commit, machine, durations) is added to a copy of the page by `stamped`.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from consilience.core import circumstances
from consilience.core.errors import ConsilienceError
from consilience.core.files import read_json, write_bytes
from consilience.core.wording import counted
from consilience.project import Project
from consilience.reporting.content.person_links import FOLDER
from consilience.reporting.figure import Listing, Note, Section
from consilience.reporting.page import environment
from consilience.reporting.results import Results
from consilience.reporting.words import readable
from consilience.schema.params.dataset import DatasetParams

SHORT = 12  # digits of a fingerprint
PLACE = "<!-- circumstances -->"  # in the page, where a copy has those of the run
HEADS = ("stage", "finished", "duration, s", "memory, MB", "commit")


def provenance(project: Project, results: Results) -> Section:
    """Return the section on the inputs of the page.

    Raises
    ------
    ConsilienceError
        If stage ``code`` has not run.
    """
    settings, codes = _settings(project), fingerprints(project)
    libraries: dict[str, str] = {}
    for code in codes.values():
        libraries |= {
            name: version or "not installed" for name, version in code["libraries"].items()
        }
    digests = [(stage, code["digest"][:SHORT]) for stage, code in codes.items()]
    facts = [
        ("data", data_in_words(project, results)),
        ("consilience", settings["version"]),
        ("code of all stages", code_digest(codes)),
        ("seeds of training", ", ".join(map(str, settings["seeds"]))),
        ("folds", str(settings["folds"])),
    ]
    rows = [
        (name, _text(value), _text(default), origin)
        for name, value, default, origin in settings["parameters"]
    ]
    return Section(
        "provenance",
        "Provenance",
        ("What this page was made from. The same inputs give the same page, byte by byte.",),
        (
            Listing("Inputs", ("input", "value"), facts),
            Listing(
                "Parameters that differ from the package's defaults",
                ("parameter", "value", "default", "set by"),
                rows,
            ),
            Listing("Code of each stage", ("stage", "fingerprint"), digests),
            Listing(
                "Libraries",
                ("library", "version"),
                sorted(libraries.items(), key=lambda item: item[0].lower()),
            ),
            Note("The run", is_heading=True),
            Note(CIRCUMSTANCES),
        ),
    )


CIRCUMSTANCES = (
    "Commit, machine and durations differ between runs of the same inputs. They are below in the "
    "copy of this page that 'consilience open' writes on the machine of the last run."
)


def data_in_words(project: Project, results: Results) -> str:
    """Return the dataset, whether it is simulated, and the number of its recordings."""
    dataset = project.section(DatasetParams)
    n = results.recordings.height
    usable = results.recordings.filter(status="usable").height
    simulated = "simulated by this package; " if dataset.synthetic else ""
    return f"{results.meta['dataset']}: {simulated}{counted(n, 'recording')}, {usable} usable"


def is_simulated(project: Project) -> bool:
    """Return whether the recordings are of the synthetic corpus."""
    return bool(project.section(DatasetParams).synthetic)


def fingerprints(project: Project) -> dict[str, dict[str, Any]]:
    """Return the content of every fingerprint of code by its stage, with its item."""
    paths = sorted(project.code.glob("*.json"))
    contents = {path.stem: read_json(path) for path in paths}
    return {name: content for name, content in contents.items() if "digest" in content}


def code_digest(codes: dict[str, dict[str, Any]]) -> str:
    """Return one fingerprint of the code and libraries of all stages."""
    joined = "".join(f"{stage} {code['digest']}\n" for stage, code in codes.items())
    return sha256(joined.encode()).hexdigest()[:SHORT]


def _settings(project: Project) -> dict[str, Any]:
    path = project.settings_file
    if not path.is_file():
        raise ConsilienceError("the results are missing", str(path), "run 'dvc repro'")
    settings: dict[str, Any] = read_json(path)
    return settings


def _text(value: Any) -> str:
    return "–" if value is None else value if isinstance(value, str) else json.dumps(value)


def stamped(project: Project) -> str:
    """Write a copy of the report with commit, machine and durations; return its path.

    Raises
    ------
    ConsilienceError
        If the report is not written yet.
    """
    if not project.report.is_file():
        raise ConsilienceError("not written yet", str(project.report), "run 'consilience run'")
    page = project.report.read_text("utf-8")
    records = circumstances.load(project.runs)
    block = (
        environment()
        .get_template("circumstances.html.j2")
        .render(
            heads=HEADS,
            machines=_machines(records),
            rows=[_row(record) for record in records],
            measures=[
                (record["stage"], readable(name), f"{value:.3g}")
                for record in records
                for name, value in record.get("measures", {}).items()
            ],
            total=f"{sum(record['seconds'] for record in records):.0f}",
        )
    )
    page = page.replace(PLACE, block, 1)
    # The copy lies above the folder of the page.
    page = page.replace(f'href="{FOLDER}/', f'href="{project.report.parent.name}/{FOLDER}/')
    write_bytes(project.stamped_report, page.encode())
    return str(project.stamped_report)


def _row(record: dict[str, Any]) -> tuple[str, ...]:
    seconds, megabytes = f"{record['seconds']:.1f}", f"{record['peak_mb']:.0f}"
    return record["stage"], record["finished"], seconds, megabytes, record["commit"] or "none"


def _machines(records: list[dict[str, Any]]) -> list[str]:
    """Return each machine that ran a stage, in one line."""
    lines = {
        "{system}, {processor}, {cores} cores, {memory}, Python {python}".format(
            **record["machine"]
        )
        for record in records
    }
    return sorted(lines)
