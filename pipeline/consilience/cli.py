"""The command line: ``consilience …``.

Only what ``--help`` and a shell's completion need is imported at once.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from consilience.core.errors import ConsilienceError, system_error
from consilience.project import Project

app = typer.Typer(
    help="From raw EEG, voice and face recordings to a model that weights sensors by agreement.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def choose_project(
    context: typer.Context,
    project: Annotated[
        Path, typer.Option(help="Folder with params.yaml and data/; default: this folder.")
    ] = Path(),
) -> None:
    """Bind every command to one project."""
    context.obj = Project(project)


@app.command()
def use(
    context: typer.Context,
    dataset: Annotated[
        str, typer.Argument(help="Name of a dataset; 'consilience names' lists them.")
    ],
    root: Annotated[str | None, typer.Option(help="Folder of its recordings.")] = None,
    modalities: Annotated[
        str, typer.Option(help="Those to use, separated by commas; default: those of its preset.")
    ] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite a params.yaml that has been edited.")
    ] = False,
) -> None:
    """Write params.yaml anew for a dataset, with every parameter at its default."""
    from consilience import scaffold  # slow to import

    chosen = [name.strip() for name in modalities.split(",") if name.strip()]
    project: Project = context.obj
    for line in scaffold.write_params(project, dataset, root, chosen, force):
        typer.echo(f"found {line}")
    typer.echo(f"{project.params_file} now describes '{dataset}'; 'dvc repro' runs it")


@app.command()
def names() -> None:
    """List all datasets, modalities, methods, encoders and functions of model inputs."""
    from consilience.core import registry  # slow to import

    for kind in ("datasets", "modalities", "methods", "encoders", "inputs"):
        typer.echo(f"{kind}: {', '.join(registry.listed(kind))}")


@app.command()
def corruptions(
    modality: Annotated[str, typer.Argument(help="Name of a modality.")],
) -> None:
    """Print the kinds of corruption of a modality as lines for params.yaml."""
    from consilience.core import registry  # slow to import

    kinds = registry.params("modalities", modality).CORRUPTION_KINDS
    typer.echo("corruptions:")
    for kind, corruption in kinds.items():
        typer.echo(f"  {kind}: {list(corruption.severities)} # {corruption.meaning}")


@app.command()
def summary(context: typer.Context) -> None:
    """Show the evaluation's short table and the path of the report."""
    from rich.console import Console  # slow to import

    from consilience.evaluation.summary import short_table
    from consilience.schema.params.plugins import DEFAULT_METHOD

    project: Project = context.obj
    metrics = project.evaluation / "metrics.json"
    if not metrics.is_file():
        raise ConsilienceError("not evaluated yet", str(metrics), "run 'dvc repro'")
    classes = json.loads((project.windows / "meta.json").read_text())["classes"]
    Console().print(short_table(json.loads(metrics.read_text()), len(classes), DEFAULT_METHOD))
    typer.echo(f"report: {project.report}")


@app.command()
def evaluate(
    context: typer.Context,
    bundle: Annotated[
        Path, typer.Argument(help="Folder of a trained model, such as data/models/hybrid.")
    ],
    root: Annotated[
        Path, typer.Argument(help="Folder of labelled recordings that were not used for training.")
    ],
    dataset: Annotated[
        str, typer.Option(help="Name of their dataset; 'consilience names' lists them.")
    ],
    grid: Annotated[
        bool, typer.Option("--grid", help="Also test missing, corrupted and mismatched sensors.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write all figures to this file.")
    ] = None,
) -> None:
    """Score a trained model on new recordings."""
    from rich.console import Console  # slow to import

    from consilience.core.files import write_json
    from consilience.evaluation import external

    result = external.evaluate_bundle(context.obj, bundle, root, dataset, grid)
    for line in external.warnings(result):
        print(f"warning: {line}", file=sys.stderr)
    Console().print(external.table(result))
    if json_file:
        write_json(json_file, result.as_json())
        typer.echo(f"all figures: {json_file}")


@app.command()
def predict(
    context: typer.Context,
    bundle: Annotated[
        Path, typer.Argument(help="Folder of a trained model, such as data/models/hybrid.")
    ],
    root: Annotated[Path, typer.Argument(help="Folder of recordings, with or without labels.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Table of predictions: .parquet or .csv.")
    ] = Path("predictions.parquet"),
    dataset: Annotated[
        str, typer.Option(help="Name of their dataset; 'consilience names' lists them.")
    ] = "folder",
    html: Annotated[
        Path | None, typer.Option("--html", help="Also write the predictions as a page.")
    ] = None,
) -> None:
    """Predict every window of recordings with a trained model."""
    from consilience.core.files import write_bytes  # slow to import
    from consilience.core.workers import report
    from consilience.prediction.output import check_output, write_predictions
    from consilience.prediction.page import render_predictions
    from consilience.prediction.run import predict_recordings

    check_output(output)
    predicted = predict_recordings(context.obj, bundle, root, dataset, report)
    for line in write_predictions(predicted, output):
        typer.echo(line)
    if html:
        write_bytes(html, render_predictions(predicted).encode())
        typer.echo(f"page: {html}")


@app.command()
def check(
    context: typer.Context,
    root: Annotated[Path | None, typer.Argument(help="Folder of the recordings.")] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Name of their dataset; 'consilience names' lists them.")
    ] = None,
    coherence: Annotated[
        bool,
        typer.Option(
            "--coherence",
            help="After an evaluation, instead: recordings whose sensors contradict each other.",
        ),
    ] = False,
    on_problem: Annotated[
        Literal["quarantine", "fail"] | None,
        typer.Option(help="fail: exit with 1 at any problem, not only if nothing is usable."),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the complete result to this file.")
    ] = None,
) -> None:
    """Report the content and the problems of a dataset without running the pipeline."""
    if coherence:
        if root is not None or dataset is not None:
            raise ConsilienceError(
                "--coherence reads the evaluation of the project",
                "consilience check",
                "omit ROOT and --dataset",
            )
        content, failed = _check_coherence(context.obj, on_problem)
    elif root is None or dataset is None:
        raise ConsilienceError(
            f"{'ROOT' if root is None else '--dataset'} is missing",
            "consilience check",
            "use check ROOT --dataset NAME, or check --coherence",
        )
    else:
        content, failed = _check_dataset(context.obj, root, dataset, on_problem)
    if json_file:
        from consilience.core.files import write_json

        write_json(json_file, content)
        typer.echo(f"complete result: {json_file}")
    if failed:
        raise SystemExit(1)


def _check_dataset(
    project: Project, root: Path, dataset: str, on_problem: str | None
) -> tuple[dict[str, Any], bool]:
    """Print the report on a dataset; return its content and whether a run would stop."""
    from rich.console import Console  # slow to import

    from consilience.ingest import check

    modalities, policy = check.params_for_dataset(project, dataset)
    settings = check.settings_for_dataset(project, dataset)
    source = check.source_of_params(project, dataset)
    report = check.check(dataset, root, modalities, settings, source)
    check.show(report, Console())
    return report.as_json(), report.failed(on_problem or policy)


def _check_coherence(project: Project, on_problem: str | None) -> tuple[dict[str, Any], bool]:
    """Print the contradictions between sensors; return them and whether they are a failure."""
    from rich.console import Console  # slow to import

    from consilience.evaluation import contradictions

    table = contradictions.load(project)
    contradictions.show(table, Console())
    content = contradictions.as_json(table)
    return content, on_problem == "fail" and bool(content["contradictions"])


@app.command()
def new(
    context: typer.Context,
    kind: Annotated[
        Literal["modality", "dataset", "method"], typer.Argument(help="Kind of the plug-in.")
    ],
    name: Annotated[str, typer.Argument(help="Its name: a-z, 0-9 and _.")],
    base: Annotated[
        str | None,
        typer.Option(help="Base class of a modality: single-channel for a one-channel sensor."),
    ] = None,
) -> None:
    """Write the file and the test of a new modality, dataset or method, to be filled in."""
    from consilience import scaffold  # slow to import

    project: Project = context.obj
    for path in scaffold.begin(project, kind, name, base):
        typer.echo(f"wrote {path}")
    if kind == "modality" and scaffold.add_to_params(project, name):
        typer.echo(f"added {name} to {project.params_file}")
    typer.echo(f"replace every FILL IN as described in docs/adding-a-{kind}.md; then run the test")


def main() -> None:
    """Run the command line; a user's mistake, or what the system refuses, becomes one line."""
    try:
        app()
    except (ConsilienceError, MemoryError, OSError) as error:
        line = str(error) if isinstance(error, ConsilienceError) else system_error(error)
        print(f"error: {line}", file=sys.stderr)
        raise SystemExit(1) from None
