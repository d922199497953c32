from __future__ import annotations

import json

import numpy as np
import pytest

from consilience.core import registry
from consilience.core.errors import ConsilienceError, RecordingError
from consilience.project import Project
from consilience.schema.params.windows import WindowParams
from consilience.windows import corrupt as module
from consilience.windows.build import window
from consilience.windows.corrupt import corrupt
from consilience.windows.store import load_corpus
from tests.windows.conftest import Make, Sensor, catalog, change_params

VARIANTS = tuple(f"noise_{level}" for level in range(1, 6))
LATE = tuple(f"desync_{level}" for level in range(1, 6))


def quiet(line: str) -> None:
    pass


@pytest.fixture
def project(make_project: Make, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Three sessions with a file each, whose windows are cut."""
    monkeypatch.setattr(module, "LIMIT_S", np.inf)  # in this process
    modality = registry.get("modalities", "gsr")
    monkeypatch.setattr(modality, "__class__", Sensor)
    made = make_project(WindowParams(desync_s=(0.1, 0.2, 0.5, 1.0, 1.5)))
    catalog(made)
    window(made, emit=quiet)
    return made


def test_every_variant_of_every_window_is_written(project: Project) -> None:
    lines: list[str] = []
    corrupt(project, emit=lines.append)
    corpus = load_corpus(project.windows)
    assert corpus.variants["gsr"] == (*VARIANTS, *LATE)
    assert lines == ["corrupt: 3 recordings, 3 processed"]
    clean = corpus.windows("gsr")
    for variant in VARIANTS:
        assert corpus.windows("gsr", variant).shape == clean.shape
        assert not np.allclose(corpus.windows("gsr", variant), clean)


def test_a_wrong_clock_delays_the_features(project: Project) -> None:
    corrupt(project, emit=quiet)
    corpus = load_corpus(project.windows)
    # The first feature is the session time: its mean over the first window falls by the delay.
    late = corpus.windows("gsr", "desync_4")[0, 0] - corpus.windows("gsr")[0, 0]
    assert late == pytest.approx(-1.0, abs=1e-4)


@pytest.mark.parametrize("changes", [{"length_s": None, "max_length_s": 4.0}])
def test_windows_that_are_whole_trials_have_no_wrong_clocks(
    project: Project, changes: dict[str, object]
) -> None:
    change_params(project, "windows", changes)
    again = Project(project.root)
    window(again, emit=quiet)
    corrupt(again, emit=quiet)
    assert load_corpus(again.windows).variants["gsr"] == VARIANTS


def test_noise_depends_on_the_recording_and_not_on_other_kinds(project: Project) -> None:
    corrupt(project, emit=quiet)
    alone = load_corpus(project.windows).windows("gsr", "noise_3")
    gsr = json.loads(project.params_file.read_text())["modalities"]["gsr"]
    kinds = {**gsr["corruptions"], "dropout": [0.1, 0.2, 0.3, 0.4, 0.5]}
    change_params(project, "modalities", {"gsr": {**gsr, "corruptions": kinds}})
    again = Project(project.root)
    corrupt(again, emit=quiet)
    np.testing.assert_array_equal(load_corpus(again.windows).windows("gsr", "noise_3"), alone)
    assert not np.allclose(alone[0], alone[2])


def test_a_second_run_computes_nothing_and_writes_the_same(project: Project) -> None:
    corrupt(project, emit=quiet)
    folder = project.corrupted / "gsr"
    before = {path.name: path.read_bytes() for path in (folder / "sessions").iterdir()}
    lines: list[str] = []
    corrupt(project, emit=lines.append)
    assert lines == ["corrupt: 3 recordings, 0 processed"]
    assert before == {path.name: path.read_bytes() for path in (folder / "sessions").iterdir()}


def test_a_recording_that_changed_is_named(project: Project) -> None:
    (project.dataset_root / "sp1.csv").write_text("of somewhere else")
    with pytest.raises(ConsilienceError, match=r"sp1\.csv: .*changed.*dvc repro -f catalog"):
        corrupt(project, emit=quiet)


def test_a_sensor_without_usable_noise_is_not_available(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def features(self: object, signal: object, params: object) -> object:
        raise RecordingError("nothing usable", "sp1.csv")

    monkeypatch.setattr(Sensor, "features", features)
    corrupt(project, emit=quiet)
    assert (load_corpus(project.windows).windows("gsr", "noise_5") == 0).all()
