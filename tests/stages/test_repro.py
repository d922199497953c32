"""The pipeline through DVC on a small corpus, and which stages a change repeats."""

from __future__ import annotations

import json
import shutil

import pytest

from consilience.evaluation.run import evaluate
from consilience.preparation import recordings_to_windows
from consilience.project import Project
from consilience.query.run import query
from consilience.synthesis.run import synthesize
from consilience.training.run import train
from tests.conftest import DEMO

pytestmark = pytest.mark.slow


METHODS = DEMO["methods"]


@pytest.fixture(scope="module")
def reproduced(demo_copy):
    return demo_copy


def stages_run(printed: str) -> set[str]:
    lines = printed.splitlines()
    return {line.split("'")[1] for line in lines if line.startswith("Running stage")}


def test_every_stage_runs_in_the_order_of_the_graph(reproduced):
    order = ["code", "synthesize@demo", "catalog", "ingest@eeg", "align", "label", "window"]
    order += ["train@coherence_transfer", "evaluate", "query", "report"]
    places = [reproduced.log.index(f"Running stage '{stage}'") for stage in order]
    assert places == sorted(places)


def test_the_report_and_the_table_are_there(reproduced):
    assert "<html" in (reproduced.folder / "data/report/report.html").read_text()
    shown = reproduced.run("consilience", "summary").stdout
    assert "coherence transfer" in " ".join(shown.split())
    assert "report.html" in shown


def test_metrics_are_shown_by_dvc(reproduced):
    shown = json.loads(reproduced.run("dvc", "metrics", "show", "--json").stdout)
    files = shown[""]["data"]
    for method in METHODS:
        assert 0 <= files[f"data/evaluation/metrics/{method}.json"]["data"]["all"] <= 1
    assert files["data/score/demo/metrics.json"]["data"]["eeg_clock_error_ms"] < 10
    printed = reproduced.run("dvc", "metrics", "show").stdout
    assert max(map(len, printed.splitlines())) < 300


def test_plots_are_drawn_by_dvc(reproduced):
    drawn = reproduced.run("dvc", "plots", "show", "-o", "dvc_plots").stdout
    assert drawn.strip().endswith("index.html")


def test_a_second_run_reruns_nothing(reproduced):
    assert stages_run(reproduced.repro()) == {"code"}


def test_a_parameter_reruns_only_what_depends_on_it_and_back_is_cached(reproduced):
    printed = reproduced.run("dvc", "exp", "run", "-S", "robustness.bootstrap=150").stdout
    assert stages_run(printed) == {"code", "evaluate", "report"}

    reproduced.configure(**DEMO)
    assert "Stage 'evaluate' is cached" in reproduced.repro()


def test_calls_with_two_workers_and_stages_with_one_leave_the_same_bytes(
    reproduced, tmp_project, monkeypatch
):
    monkeypatch.setenv("CONSILIENCE_WORKERS", "2")
    other = tmp_project
    other.configure(**DEMO)
    project = Project(other.folder)
    synthesize(project, "demo")
    recordings_to_windows(project)
    for method in METHODS:
        train(project, method)
    evaluate(project)
    query(project)
    made = ("raw", "catalog", "signals", "alignment", "labels", "windows", "evaluation", "query")
    for folder in made:
        assert other.files(f"data/{folder}") == reproduced.files(f"data/{folder}"), folder


def test_an_added_recording_is_the_only_one_processed(reproduced, tmp_project):
    project, root = tmp_project, "data/raw/mine"
    shutil.copytree(reproduced.folder / "data/raw/demo", project.folder / root)
    late = next((project.folder / root).rglob("*.flac"))
    aside = project.folder / "late.flac"
    splits = {"folds": 2, "validation_subjects": 1}
    project.configure(root=root, modalities=["eeg", "audio"], splits=splits)

    late.rename(aside)
    ingests = ("ingest@eeg", "ingest@audio")
    before = project.repro(*ingests)
    assert "listed, but the file does not exist" in before

    aside.rename(late)
    after = project.repro(*ingests)
    processed = [line for line in after.splitlines() if line.strip().startswith("processed ")]
    session = "_".join(late.relative_to(project.folder / root).parts[:2])
    assert processed == [f"  processed {session}_audio"]
    assert "Stage 'ingest@eeg' didn't change, skipping" in after

    recordings_to_windows(Project(project.folder))
    incremental = {name: project.files(f"data/{name}") for name in ("signals", "windows")}
    shutil.rmtree(project.folder / "data/.store")
    recordings_to_windows(Project(project.folder))
    assert incremental == {name: project.files(f"data/{name}") for name in ("signals", "windows")}
