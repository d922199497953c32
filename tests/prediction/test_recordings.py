"""Unlabelled recordings of the demonstration, through the command line."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from click.testing import Result
from typer.testing import CliRunner

from consilience.cli.commands import app
from consilience.core.errors import ConsilienceError
from consilience.prediction.run import WHEN
from consilience.project import Project
from consilience.training.export import export

if TYPE_CHECKING:
    from conftest import ProjectCopy

MODEL = "data/models/coherence_transfer"


@pytest.fixture(scope="module")
def trained(demo: ProjectCopy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a trained model and its recordings."""
    folder = tmp_path_factory.mktemp("predicted")
    for name in (MODEL, "data/raw/demo"):
        shutil.copytree(demo.folder / name, folder / name)
    return folder


def predict(folder: Path, root: str, *options: str) -> tuple[Result, pl.DataFrame]:
    output = folder / "predictions.parquet"
    arguments = ["predict", str(folder / MODEL), str(folder / root), "-o", str(output), *options]
    done = CliRunner().invoke(app, ["--project", str(folder), *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done, pl.read_parquet(output)


def unlabelled(folder: Path, name: str, without: str | None = None) -> Path:
    """Copy the recordings without their labels, trials and one sensor's rows of the manifest."""
    copy = folder / name
    shutil.copytree(folder / "data/raw/demo", copy)
    for table in ("annotations.csv", "trials.csv"):
        (copy / table).unlink()
    manifest = pl.read_csv(copy / "recordings.csv").filter(pl.col("modality") != (without or ""))
    manifest.write_csv(copy / "recordings.csv")
    return copy


@pytest.mark.slow
def test_predictions_equal_those_of_the_evaluation(demo: ProjectCopy, trained: Path) -> None:
    page = trained / "predictions.html"
    done, table = predict(trained, "data/raw/demo", "--dataset", "demo", "--html", str(page))
    evaluated = pl.read_parquet(demo.folder / "data/evaluation/windows.parquet")
    same = table.join(evaluated.select("window"), on="window", how="semi").sort("window")
    evaluated = evaluated.sort("window")
    assert same.height == evaluated.height > 10
    for name in set(same.columns) - set(WHEN):
        if same[name].dtype == pl.Float64:
            np.testing.assert_allclose(same[name], evaluated[name], atol=1e-5, err_msg=name)
        else:
            assert same[name].equals(evaluated[name]), name
    assert "each is predicted only by the runs that held it out" in done.stdout
    html = page.read_text()
    assert "Predictions for 4 sessions" in html


@pytest.mark.slow
def test_recordings_without_labels_and_without_a_sensor_are_predicted(trained: Path) -> None:
    unlabelled(trained, "without_audio", without="audio")
    _, table = predict(trained, "without_audio")
    assert table["reliability_audio"].is_null().all()
    assert table["confidence"].is_not_null().all()
    assert set(table["trial"]) == {"whole"}
    again, same = predict(trained, "without_audio")
    assert "0 processed" in again.output
    assert same.equals(table)


@pytest.mark.slow
def test_a_sensor_without_a_usable_recording_is_left_out(trained: Path) -> None:
    copy = unlabelled(trained, "damaged")
    for path in copy.rglob("*.flac"):
        path.write_bytes(b"")
    done, table = predict(trained, "damaged")
    assert "predict: without audio: none of 4 recordings is usable" in done.output
    assert table["reliability_audio"].is_null().all()
    assert table["confidence"].is_not_null().all()


@pytest.mark.slow
def test_an_exported_bundle_predicts_its_people_but_is_not_scored_on_them(
    demo: ProjectCopy, trained: Path, tmp_path: Path
) -> None:
    bundle, output = tmp_path / "bundle", tmp_path / "out.parquet"
    export(Project(demo.folder), "coherence_transfer", bundle)
    recordings = [str(bundle), str(trained / "data/raw/demo"), "--dataset", "demo"]

    def run(command: str, *options: str) -> Result:
        arguments = ["--project", str(trained), command, *recordings, *options]
        return CliRunner().invoke(app, arguments, catch_exceptions=False)

    done = run("predict", "-o", str(output))
    assert "warning: the model was trained on recordings of sub-01, sub-02" in done.stdout
    assert pl.read_parquet(output)["confidence"].is_not_null().all()
    with pytest.raises(ConsilienceError, match="trained on recordings of every subject"):
        run("evaluate")
