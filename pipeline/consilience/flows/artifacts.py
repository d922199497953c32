"""Artifacts of a run: stages, metrics, quarantined recordings, the gate's decision, and links."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from prefect.artifacts import acreate_markdown_artifact, acreate_table_artifact

from consilience.core.errors import ConsilienceError
from consilience.core.files import read_json
from consilience.evaluation.summary import headline
from consilience.flows.server import published
from consilience.model_registry.decision import Decision
from consilience.model_registry.index import BUNDLE, read_index
from consilience.project import Project
from consilience.status import unusable

Metrics = dict[str, dict[str, float]]  # by method

MAX_ROWS = 500  # of a table, which a browser draws


async def publish_stages(rows: list[dict[str, Any]]) -> None:
    """Publish the state and duration of every stage."""
    await _table(rows, "stages", "Stages of the last run")


class Former(NamedTuple):
    """Metrics that those of a run are compared with.

    Attributes
    ----------
    before : dict of str to dict
        Of the run before.
    accepted : dict of str to dict
        Of the current version in the registry.
    """

    before: Metrics
    accepted: Metrics


def former_metrics(project: Project) -> Former:
    """Return the metrics of the last evaluation and of the accepted model, as far as there are."""
    return Former(_evaluated(project), _accepted(project))


def _evaluated(project: Project) -> Metrics:
    file = project.evaluation / "metrics.json"
    try:
        content: Metrics = read_json(file) if file.is_file() else {}
    except ConsilienceError:  # damaged: the stage will write it anew
        return {}
    return content


def _accepted(project: Project) -> Metrics:
    try:
        index = read_index(project)
        if index.current is None:
            return {}
        card = read_json(project.registry / index.current / BUNDLE / "card.json")
    except ConsilienceError:  # damaged or not pulled, which the gate reports
        return {}
    metrics = {name: estimate[0] for name, estimate in card["metrics"].items()}
    return {index.get(index.current).method: metrics}


async def publish_results(
    project: Project, former: Former, decision: Decision | None
) -> dict[str, Any]:
    """Publish what a run has changed; return the short form for a notification.

    Parameters
    ----------
    project : Project
    former : Former
        What `former_metrics` returned before the run.
    decision : Decision or None
        Of the metric gate.
    """
    rows = headline_rows(former, _evaluated(project))
    if rows:
        await _table(rows, "metrics", "This run, the one before, and the accepted model")
    problems = unusable(project)
    if problems:
        rows_of_problems = [dict(row) for row in problems[:MAX_ROWS]]
        await _table(rows_of_problems, "quarantine", f"{len(problems)} problems of recordings")
    if decision is not None:
        await publish_decision(decision)
    await markdown(links(project), "links", "Report and models")
    return {"metrics": rows, "problems": len(problems)}


async def publish_decision(decision: Decision) -> None:
    """Publish why the metric gate accepted or blocked a model."""
    verdict = "accepted" if decision.accepted else "blocked"
    lines = [f"# The gate {verdict} the model", "", *(f"- {reason}" for reason in decision.reasons)]
    await markdown("\n".join(lines), "gate", f"Model {verdict}")
    if decision.rows:
        rows = [row._asdict() for row in decision.rows]
        await _table(rows, "gate-metrics", "Compared with the accepted model")


async def _table(rows: list[dict[str, Any]], key: str, description: str) -> None:
    await published(partial(acreate_table_artifact, rows, key, description), f"table '{key}'")


async def markdown(text: str, key: str, description: str) -> None:
    """Publish a text."""
    await published(partial(acreate_markdown_artifact, text, key, description), f"text '{key}'")


def headline_rows(former: Former, after: Metrics) -> list[dict[str, Any]]:
    """Return a row for each method and headline metric: this run, the former ones, differences."""
    rows = []
    for method, metrics in after.items():
        for metric, value in headline(metrics).items():
            row: dict[str, Any] = {"method": method, "metric": metric, "this run": round(value, 4)}
            for name, others in former._asdict().items():
                other = others.get(method, {}).get(metric)
                if other is not None:
                    row |= {name: round(other, 4), f"less {name}": round(value - other, 4)}
            rows.append(row)
    return rows


def links(project: Project) -> str:
    """Return the addresses of report and models as Markdown."""
    lines = ["| result | path |", "|---|---|"]
    if project.report.is_file():
        lines.append(f"| report | {_link(project.report)} |")
    models = project.data / "models"
    folders = sorted(path for path in models.iterdir() if path.is_dir()) if models.is_dir() else []
    lines += [f"| model `{path.name}` | {_link(path)} |" for path in folders]
    return "\n".join(lines) if len(lines) > 2 else "This run has no report and no model."


def _link(path: Path) -> str:
    return f"[{path}]({path.as_uri()})"
