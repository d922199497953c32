"""Commands of the command line, but for ``consilience stage``.

Only what ``--help`` and a shell's completion need is imported at once.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from consilience.core import study
from consilience.core.errors import ConsilienceError, one_line
from consilience.core.wording import counted
from consilience.project import Project

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from consilience.model_registry.decision import Decision

app = typer.Typer(
    help="From raw EEG, voice and face recordings to a model that weights sensors by agreement.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _names_of(kind: str) -> Callable[[str], list[str]]:
    """Return the function that completes the name of a plug-in in a shell."""

    def complete(incomplete: str) -> list[str]:
        from consilience.core import registry  # slow to import

        study.use(Path())
        return [name for name in registry.names(kind) if name.startswith(incomplete)]

    return complete


annotate = typer.Typer(
    help="Send ranked windows to the annotation tool Label Studio, and read its answers.",
    no_args_is_help=True,
)
app.add_typer(annotate, name="annotate")

STDOUT = Path("-")
DatasetOption = typer.Option(
    help="Name of the dataset; 'consilience names' lists them.",
    autocompletion=_names_of("datasets"),
)
BundleArgument = Annotated[
    str,
    typer.Argument(
        help="Folder of a trained model, such as data/models/hybrid; accepted: the accepted one, "
        "accepted@v0001: that version."
    ),
]
MethodOption = typer.Option(
    help="Name of the trained method; default: that of the report.",
    autocompletion=_names_of("methods"),
)
JsonFile = Annotated[
    Path | None,
    typer.Option("--json", help="Write the complete result to this file; -: standard output."),
]


PseudonymsOption = Annotated[
    bool | None,
    typer.Option(
        "--pseudonyms/--names",
        help="Keyed pseudonyms or names in the report; default: as before, or names.",
    ),
]
FacesOption = Annotated[
    bool | None,
    typer.Option(
        "--faces/--no-faces",
        help="Thumbnails of one recording's face in the report; default: as before, or none.",
    ),
]


def _version(requested: bool) -> None:
    """Print the version of the package and end."""
    if requested:
        from importlib.metadata import version

        typer.echo(version("consilience"))
        raise typer.Exit


@app.callback()
def choose_project(
    context: typer.Context,
    project: Annotated[
        Path, typer.Option(help="Folder with params.yaml and data/; default: this folder.")
    ] = Path(),
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Bind every command to one project."""
    study.use(project)
    context.obj = Project(project)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder of the new study.")],
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Name of its dataset; default: the demonstration corpus.",
            autocompletion=_names_of("datasets"),
        ),
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Folder of its recordings.")] = None,
    pseudonyms: PseudonymsOption = None,
    faces: FacesOption = None,
) -> None:
    """Create the folder of a new study, ready for 'consilience run'."""
    from consilience import new_study  # slow to import

    for line in new_study.create(folder, dataset, root, _privacy(pseudonyms, faces)):
        typer.echo(line)
    _name_missing_weights(Project(folder))
    change_folder = "" if folder.resolve() == Path.cwd() else f"cd {shlex.quote(str(folder))} && "
    typer.echo(f"created {folder}; next: {change_folder}consilience run")


@app.command()
def use(
    context: typer.Context,
    dataset: Annotated[
        str,
        typer.Argument(
            help="Name of a dataset; 'consilience names' lists them.",
            autocompletion=_names_of("datasets"),
        ),
    ],
    root: Annotated[str | None, typer.Option(help="Folder of its recordings.")] = None,
    modalities: Annotated[
        str, typer.Option(help="Those to use, separated by commas; default: those of its preset.")
    ] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite a params.yaml that has been edited.")
    ] = False,
    pseudonyms: PseudonymsOption = None,
    faces: FacesOption = None,
) -> None:
    """Write params.yaml anew for a dataset, with every parameter at its default."""
    from consilience import scaffold  # slow to import

    _check_name("datasets", dataset, "DATASET")
    chosen = [name.strip() for name in modalities.split(",") if name.strip()]
    project: Project = context.obj
    privacy = _privacy(pseudonyms, faces)
    for line in scaffold.write_params(project, dataset, root, chosen, force, privacy):
        typer.echo(f"found {line}")
    _name_missing_weights(project)
    typer.echo(f"{project.params_file} now describes '{dataset}'; 'consilience run' runs it")


@app.command("run")
def run_stages(
    context: typer.Context,
    targets: Annotated[
        list[str] | None, typer.Argument(help="Stages to bring up to date; default: all.")
    ] = None,
) -> None:
    """Bring every stage up to date, as 'dvc repro' does, and show the progress."""
    from consilience.run import run  # slow to import

    project: Project = context.obj
    run(project, targets or [], _printer(None))
    if project.report.is_file():
        typer.echo(f"report: {project.report}")


@app.command()
def status(context: typer.Context, json_file: JsonFile = None) -> None:
    """Show which stages are stale and why, unusable recordings, and the last metrics."""
    from consilience import status  # slow to import

    project: Project = context.obj
    current = status.status(project)
    emit = _printer(json_file)
    for line in current.lines():
        emit(line)
    if current.metrics:
        _console(json_file).print(_metrics_table(project, current.metrics))
    _write_json(json_file, asdict(current))


@app.command("open")
def open_report(context: typer.Context) -> None:
    """Print the path of the report with this run's circumstances; in a terminal, open it."""
    from consilience.reporting.provenance import stamped  # slow to import

    project: Project = context.obj
    typer.echo(stamped(project))
    if sys.stdout.isatty():
        typer.launch(project.stamped_report.as_uri())


@app.command()
def bench(
    folder: Annotated[Path, typer.Argument(help="Folder of bench.yaml, the studies and the page.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Folder whose subfolders are corpora; searched without a bench.yaml."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Name of a corpus; repeat it for several.")
    ] = None,
    list_only: Annotated[
        bool, typer.Option("--list", help="Write bench.yaml and list the corpora; run nothing.")
    ] = False,
    json_file: JsonFile = None,
) -> None:
    """Compare methods on every corpus at hand, on one page; run again, it continues."""
    from consilience.bench import run as benches  # slow to import

    emit = _printer(json_file)
    settings = benches.settings_of(folder, data, emit)
    if list_only:
        _write_json(json_file, settings.model_dump(mode="json"))
        return
    content = benches.bench(folder, settings, only or [], emit)
    emit(f"page: {folder / benches.PAGE}")
    _write_json(json_file, content)
    if not benches.any_evaluated(content, only or []):
        raise SystemExit(1)


@app.command()
def watch(
    context: typer.Context,
    root: Annotated[
        Path | None, typer.Argument(help="Folder of the recordings; default: the study's.")
    ] = None,
    stable: Annotated[
        float, typer.Option(help="Seconds without a change after which a file is complete.")
    ] = 60.0,
    interval: Annotated[float, typer.Option(help="Seconds between two looks.")] = 10.0,
    once: Annotated[
        bool, typer.Option("--once", help="End after the first event that the server received.")
    ] = False,
) -> None:
    """Report new and changed recordings to the Prefect server once they are complete."""
    _require_prefect()
    from consilience.core import termination
    from consilience.flows import watch as watching  # slow to import

    termination.exit_at_signals()
    watching.watch(context.obj, root, lambda line: print(line, flush=True), stable, interval, once)


@app.command()
def trim(
    context: typer.Context,
    max_gib: Annotated[float, typer.Option(help="Size in GiB that data/.store may keep.", min=0)],
) -> None:
    """Remove the oldest intermediate results of data/.store, which would be computed again."""
    from consilience.core.dvc import lock_holders  # slow to import
    from consilience.core.store import trim as trimmed

    project: Project = context.obj
    if users := lock_holders(project.root):
        raise ConsilienceError(
            f"in use by process {', '.join(users)}", str(project.root), "wait for its end"
        )
    n_removed, n_bytes = trimmed(project.store(""), int(max_gib * 2**30))
    typer.echo(f"{counted(n_removed, 'result')} removed; {n_bytes / 2**30:.2f} GiB remain")


@app.command()
def sweep(
    silent: Annotated[
        float, typer.Option(help="Seconds without a heartbeat after which a run has crashed.")
    ] = 600.0,
) -> None:
    """Set Prefect runs whose process has ended to Crashed, which frees their slots."""
    _require_prefect()
    from httpx import HTTPError  # slow to import, as is the next one

    from consilience.flows import sweep as sweeping

    try:
        lines = sweeping.sweep(silent)
    except (RuntimeError, ValueError) as error:  # no server is configured
        raise ConsilienceError(str(error), "consilience sweep", "set PREFECT_API_URL") from None
    except HTTPError as error:
        what = f"the server does not answer: {one_line(str(error))[:200]}"
        raise ConsilienceError(what, "consilience sweep", "start the server") from None
    for line in lines or ["every active run has its process"]:
        typer.echo(line)


@app.command()
def worker(
    pool: Annotated[str, typer.Option(help="Work pool of Prefect, of type process.")] = "local",
    server_timeout: Annotated[
        float, typer.Option(help="Seconds without an answer of the server after which it ends.")
    ] = 300.0,
) -> None:
    """Free the slots of killed runs, and run a worker of Prefect that ends with its server."""
    _require_prefect()
    from prefect.settings import PREFECT_API_URL  # slow to import

    from consilience.core.processes import guard_children
    from consilience.flows import worker as workers
    from consilience.flows.sweep import sweep_quietly, worker_name

    if not PREFECT_API_URL.value():
        raise ConsilienceError(
            "no server is configured", "consilience worker", "set PREFECT_API_URL"
        )
    workers.wait_for_server(server_timeout, typer.echo)
    sweep()
    os.environ.setdefault("PREFECT_FLOWS_HEARTBEAT_FREQUENCY", "30")
    # Of requests about logs and slots, 126 s in all: the server may restart on a busy machine.
    os.environ.setdefault("PREFECT_CLIENT_MAX_RETRIES", "6")
    guard_children()  # of a worker that is killed, and so cannot end its runs itself
    command = workers.worker_command(pool, worker_name())
    workers.supervise(command, server_timeout, sweep=partial(sweep_quietly, typer.echo))


@app.command()
def names(json_file: JsonFile = None) -> None:
    """List all datasets, modalities, methods, encoders and functions of model inputs."""
    from consilience.core import registry  # slow to import

    kinds = ("datasets", "modalities", "methods", "encoders", "inputs")
    listed = {kind: registry.described(kind) for kind in kinds}
    emit = _printer(json_file)
    for kind, described in listed.items():
        width = max(map(len, described))
        emit(f"{kind}:")
        for name, line in described.items():
            emit(f"  {name:{width}}  {line}".rstrip())
    _write_json(json_file, listed)


@app.command()
def corruptions(
    modality: Annotated[
        str,
        typer.Argument(help="Name of a modality.", autocompletion=_names_of("modalities")),
    ],
) -> None:
    """Print the kinds of corruption of a modality as lines for params.yaml."""
    from consilience.core import registry  # slow to import

    registry.check("modalities", modality, "MODALITY")
    kinds = registry.params("modalities", modality).CORRUPTION_KINDS
    typer.echo("corruptions:")
    for kind, corruption in kinds.items():
        typer.echo(f"  {kind}: {list(corruption.severities)} # {corruption.meaning}")


@app.command()
def summary(context: typer.Context, json_file: JsonFile = None) -> None:
    """Show the evaluation's short table and the path of the report."""
    project: Project = context.obj
    file = project.evaluation / "metrics.json"
    if not file.is_file():
        raise ConsilienceError("not evaluated yet", str(file), "run 'consilience run'")
    metrics = json.loads(file.read_text())
    _console(json_file).print(_metrics_table(project, metrics))
    _printer(json_file)(f"report: {project.report}")
    _write_json(json_file, {"metrics": metrics, "report": str(project.report)})


@app.command()
def evaluate(
    context: typer.Context,
    bundle: BundleArgument,
    root: Annotated[
        Path, typer.Argument(help="Folder of labelled recordings that were not used for training.")
    ],
    dataset: Annotated[str, DatasetOption],
    grid: Annotated[
        bool, typer.Option("--grid", help="Also test missing, corrupted and mismatched sensors.")
    ] = False,
    json_file: JsonFile = None,
) -> None:
    """Score a trained model on new recordings."""
    from consilience.evaluation import external  # slow to import

    _check_name("datasets", dataset, "--dataset")
    folder = _bundle_folder(context.obj, bundle)
    result = external.evaluate_bundle(context.obj, folder, root, dataset, grid)
    for line in external.warnings(result):
        _printer(STDOUT)(f"warning: {line}")
    _console(json_file).print(external.table(result))
    _write_json(json_file, result.as_json())


@app.command()
def predict(
    context: typer.Context,
    bundle: BundleArgument,
    root: Annotated[Path, typer.Argument(help="Folder of recordings, with or without labels.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Table of predictions: .parquet or .csv.")
    ] = Path("predictions.parquet"),
    dataset: Annotated[str, DatasetOption] = "folder",
    html: Annotated[
        Path | None, typer.Option("--html", help="Also write the predictions as a page.")
    ] = None,
    pseudonyms: Annotated[
        bool, typer.Option("--pseudonyms", help="Write keyed pseudonyms instead of names.")
    ] = False,
) -> None:
    """Predict every window of recordings with a trained model."""
    from consilience.core.files import write_bytes  # slow to import
    from consilience.core.pseudonyms import load_key
    from consilience.prediction.output import check_output, write_predictions
    from consilience.prediction.page import render_predictions
    from consilience.prediction.pseudonyms import with_pseudonyms
    from consilience.prediction.run import predict_recordings

    check_output(output)
    _check_name("datasets", dataset, "--dataset")
    project: Project = context.obj
    folder = _bundle_folder(project, bundle)
    predicted = predict_recordings(project, folder, root, dataset, _printer(STDOUT))
    if pseudonyms:
        predicted = with_pseudonyms(predicted, load_key(project.root))
    for line in write_predictions(predicted, output):
        typer.echo(line)
    if html:
        write_bytes(html, render_predictions(predicted).encode())
        typer.echo(f"page: {html}")


@app.command()
def live(
    context: typer.Context,
    bundle: BundleArgument,
    stream: Annotated[
        list[str] | None,
        typer.Option(help="Stream of a sensor, such as eeg=MyAmp; default: by its type."),
    ] = None,
    duration: Annotated[
        float | None, typer.Option(help="Seconds after which it ends; default: when interrupted.")
    ] = None,
    wait: Annotated[float, typer.Option(help="Longest wait in s for the first stream.")] = 30.0,
    outlet: Annotated[
        str | None, typer.Option(help="Name of an LSL outlet with the predictions.")
    ] = None,
    revise: Annotated[
        bool, typer.Option("--revise", help="Score every window again 5 s after its end.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object per window, notes to stderr.")
    ] = False,
) -> None:
    """Predict while sensors record, from streams of the Lab Streaming Layer."""
    from consilience.live import run as lives  # slow to import
    from consilience.live.view import view_of

    settings = lives.LiveSettings(lives.parse_streams(stream or []), duration, wait, outlet, revise)
    view = view_of(as_json)
    folder = _bundle_folder(context.obj, bundle)
    for line in lives.summary(lives.live(folder, settings, view)):
        view.note(line)


@app.command()
def export(
    context: typer.Context,
    method: Annotated[
        str,
        typer.Argument(help="Name of a trained method, such as hybrid, or accepted: its bundle."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder of the bundle.")],
    licence: Annotated[
        str | None, typer.Option(help="Licence of the bundle, for its card.")
    ] = None,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Also write model.onnx; needs consilience[onnx].")
    ] = False,
) -> None:
    """Train a method once more on all people and write it as a bundle to be passed on."""
    from consilience.model_registry import registry  # slow to import
    from consilience.training.export import export as write_bundle

    if registry.is_accepted(method):
        if licence or onnx:
            raise ConsilienceError(
                "an accepted bundle is exported as it is", "--licence, --onnx", "omit both"
            )
        registry.copy_bundle(context.obj, method, output)
        typer.echo(f"{output}: {method}")
        return
    for line in write_bundle(context.obj, method, output, licence, onnx):
        typer.echo(line)


@app.command()
def models(context: typer.Context, json_file: JsonFile = None) -> None:
    """List the accepted models; 'predict accepted' uses the current one."""
    from consilience.model_registry import registry, view  # slow to import

    project: Project = context.obj
    listed, states = registry.versions(project), view.states(project)
    console = _console(json_file)
    if listed:
        console.print(view.versions_table(listed, states))
    else:
        console.print("no model is accepted yet; 'consilience promote' accepts the trained one")
    rows = [{**v.model_dump(mode="json"), "state": states[v.name]} for v in listed]
    _write_json(json_file, {"versions": rows})


@app.command()
def gate(
    context: typer.Context,
    method: Annotated[str | None, MethodOption] = None,
    json_file: JsonFile = None,
) -> None:
    """Compare the trained model with the accepted one; exit with 1 if it is worse."""
    from consilience.model_registry import gate as gates  # slow to import

    decision = gates.compare(context.obj, method=method)
    _show_decision(decision, _console(json_file))
    _write_json(json_file, decision.as_json())
    if not decision.accepted:
        raise SystemExit(1)


@app.command()
def promote(
    context: typer.Context,
    method: Annotated[str | None, MethodOption] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Without the comparison; needs --reason.")
    ] = False,
    reason: Annotated[str, typer.Option(help="Why it is accepted all the same.")] = "",
) -> None:
    """Accept the trained model if it is not worse than the accepted one."""
    from consilience.model_registry import gate as gates  # slow to import
    from consilience.model_registry import registry

    if force != bool(reason.strip()):
        what = "--reason is missing" if force else "--reason without --force"
        raise ConsilienceError(what, "consilience promote", "use --force --reason TEXT")
    project: Project = context.obj
    if force:
        decision = gates.forced(project, reason.strip(), method=method)
    else:
        decision = gates.compare(project, method=method)
    _show_decision(decision, _console(None))
    if not decision.accepted:
        raise SystemExit(1)
    version = registry.accept(project, decision, typer.echo)
    typer.echo(f"{version.name} is current: {registry.folder_of(project, version.name)}")


@app.command()
def rollback(
    context: typer.Context,
    version: Annotated[
        str | None, typer.Argument(help="Such as v0001; default: the one before the current.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, for the history.")] = "",
) -> None:
    """Make a former accepted model the current one again."""
    from consilience.model_registry import registry  # slow to import

    project: Project = context.obj
    target = registry.rollback(project, version, reason)
    typer.echo(f"{target.name} is current: {registry.folder_of(project, target.name)}")


def _show_decision(decision: Decision, console: Console) -> None:
    """Print what the gate compared, and the decision."""
    from consilience.model_registry import view  # slow to import

    if decision.rows:
        console.print(view.decision_table(decision))
    for line in (view.verdict_line(decision), *(f"  {reason}" for reason in decision.reasons)):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


@annotate.command("export")
def export_tasks(
    context: typer.Context,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File of the tasks; clips lie beside it.")
    ] = Path("tasks.json"),
    video: Annotated[
        bool, typer.Option(help="--no-video: without pictures, so that no face is passed on.")
    ] = True,
    url: Annotated[
        str | None,
        typer.Option(help="Address of the clips; default: Label Studio's local files."),
    ] = None,
) -> None:
    """Write the ranked windows as tasks of Label Studio, with clips on the session clock."""
    from consilience.label_studio import tasks  # slow to import

    exported = tasks.export_tasks(context.obj, output, _printer(STDOUT), pictures=video, url=url)
    for line in tasks.summary(exported):
        typer.echo(line)


@annotate.command("import")
def import_answers(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="JSON that Label Studio exported.")],
    annotator: Annotated[
        str, typer.Option(help="Name of the table in data/annotations, and of its annotators.")
    ] = "label_studio",
) -> None:
    """Add the answers of Label Studio to the study, as further annotators."""
    from consilience.label_studio import answers  # slow to import

    done = answers.import_answers(context.obj, file, annotator)
    typer.echo(
        f"{counted(done.n_answers, 'answer')} for {counted(done.n_tasks, 'task')}, "
        f"{done.n_skipped} skipped; "
        f"{counted(done.n_rows, 'annotation')} in {done.path}"
    )
    typer.echo("'consilience run' labels the windows with them")


@app.command()
def check(
    context: typer.Context,
    root: Annotated[Path | None, typer.Argument(help="Folder of the recordings.")] = None,
    dataset: Annotated[str | None, DatasetOption] = None,
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
    json_file: JsonFile = None,
) -> None:
    """Report the content and the problems of a dataset without running the pipeline."""
    if coherence:
        if root is not None or dataset is not None:
            raise ConsilienceError(
                "--coherence reads the evaluation of the project",
                "consilience check",
                "omit ROOT and --dataset",
            )
        content, failed = _check_coherence(context.obj, on_problem, _console(json_file))
    elif root is None or dataset is None:
        raise ConsilienceError(
            f"{'ROOT' if root is None else '--dataset'} is missing",
            "consilience check",
            "use check ROOT --dataset NAME, or check --coherence",
        )
    else:
        console = _console(json_file)
        content, failed = _check_dataset(context.obj, root, dataset, on_problem, console)
    _write_json(json_file, content)
    if failed:
        raise SystemExit(1)


def _check_dataset(
    project: Project, root: Path, dataset: str, on_problem: str | None, console: Console
) -> tuple[dict[str, Any], bool]:
    """Print the report on a dataset; return its content and whether a run would stop."""
    from consilience.ingest import check  # slow to import

    _check_name("datasets", dataset, "--dataset")
    modalities, policy = check.params_for_dataset(project, dataset)
    settings = check.settings_for_dataset(project, dataset)
    source = check.source_of_params(project, dataset)
    report = check.check(dataset, root, modalities, settings, source)
    check.show(report, console)
    return report.as_json(), report.failed(on_problem or policy)


def _check_coherence(
    project: Project, on_problem: str | None, console: Console
) -> tuple[dict[str, Any], bool]:
    """Print the contradictions between sensors; return them and whether they are a failure."""
    from consilience.evaluation import contradictions  # slow to import

    table = contradictions.load(project)
    contradictions.show(table, console)
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


def _privacy(pseudonyms: bool | None, faces: bool | None) -> dict[str, bool]:
    """Return the parameters of the section ``privacy`` that options state."""
    options = {"pseudonyms": pseudonyms, "no_faces": None if faces is None else not faces}
    return {name: value for name, value in options.items() if value is not None}


def _bundle_folder(project: Project, name: str) -> Path:
    """Return the folder of a bundle, which may be named as an accepted version."""
    from consilience.model_registry import registry  # slow to import

    return registry.resolve(project, name)


def _require_prefect() -> None:
    """Raise unless Prefect is installed."""
    from importlib.util import find_spec

    if find_spec("prefect") is None:
        raise ConsilienceError(
            "Prefect is not installed", "consilience", "pip install 'consilience[prefect]'"
        )


def _check_name(kind: str, name: str, argument: str) -> None:
    """Raise an error that names the argument unless it is the name of a plug-in."""
    from consilience.core import registry  # slow to import

    registry.check(kind, name, argument)


def _name_missing_weights(project: Project) -> None:
    """Print how to install weights that the project's modalities read and that are missing."""
    from consilience.modalities import settings  # slow to import

    if missing := settings.missing_weights(settings.modality_params(project)):
        typer.echo(f"first install the weights of networks: {settings.install_command(missing)}")


def _console(json_file: Path | None) -> Console:
    """Return the console for people: standard error, if the result goes to standard output."""
    from rich.console import Console  # slow to import

    return Console(stderr=json_file == STDOUT)


def _printer(json_file: Path | None) -> Callable[[str], None]:
    """Return a function that prints a line for people as it is, on their console at once.

    For notes beside a result that a command prints itself, the file is `STDOUT`.
    """
    console = _console(json_file)
    return partial(console.print, markup=False, emoji=False, highlight=False, soft_wrap=True)


def _write_json(json_file: Path | None, content: dict[str, Any]) -> None:
    """Write a command's complete result where its option requires it."""
    from consilience.core.files import json_ready, write_json

    if json_file == STDOUT:
        typer.echo(json.dumps(json_ready(content), indent=1))
    elif json_file:
        write_json(json_file, content)
        typer.echo(f"complete result: {json_file}")


def _metrics_table(project: Project, metrics: dict[str, dict[str, float]]) -> Table:
    from consilience.evaluation.summary import short_table  # slow to import
    from consilience.schema.params.plugins import DEFAULT_METHOD

    classes = json.loads((project.windows / "meta.json").read_text())["classes"]
    return short_table(metrics, len(classes), DEFAULT_METHOD)
