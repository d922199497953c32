"""Another package offers a modality, and the pipeline uses it."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from consilience import params
from consilience.core import registry
from consilience.core import study as active
from consilience.core.errors import ConsilienceError
from consilience.core.fingerprint import CodeBase
from consilience.ingest import ingest
from consilience.ingest.catalog import build_catalog
from consilience.scaffold import TEMPLATES
from consilience.testing import ModalityCase
from consilience.testing.modality import check_features
from consilience.windows import cutting
from consilience.windows.cutting import Cutter
from consilience.windows.layout import Grid

ROOT = Path(__file__).parents[2]
NEWCOMER = runpy.run_path(str(ROOT / "tests/test_scaffold.py"))

NETWORK = """
from consilience.encoders.functionals import FunctionalsEncoder

class Attention(FunctionalsEncoder):
    pass
"""

EXTENT = """
import numpy as np

def inputs(windows):
    return np.nan_to_num(windows.max(1) - windows.min(1))
"""


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """Install a package, my_sensors 1.0, that offers the docs' modality `gaze`."""
    site = tmp_path / "site-packages"
    (site / "my_sensors").mkdir(parents=True)
    (site / "my_sensors/__init__.py").touch()
    page = (ROOT / "docs/adding-a-modality.md").read_text()
    code = next(iter(NEWCOMER["instructions"](page, "gaze").values()))
    text = (TEMPLATES / "modality.txt").read_text().replace("NAME", "gaze")
    (site / "my_sensors/gaze.py").write_text(text.replace("Title", "Gaze"))
    NEWCOMER["fill_in"](site / "my_sensors/gaze.py", code)
    (site / "my_sensors/networks.py").write_text(NETWORK)
    (site / "my_sensors/extent.py").write_text(EXTENT)
    info = site / "my_sensors-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-sensors\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[consilience.modalities]\n"
        "gaze = my_sensors.gaze:modality\n"
        "eeg = my_sensors.gaze:modality\n"
        "broken = my_sensors.nowhere:modality\n"
        "[consilience.inputs]\n"
        "extent = my_sensors.extent:inputs\n"
        "[consilience.encoders]\n"
        "attention = my_sensors.networks:Attention\n"
    )
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site))  # for other processes
    yield site
    for name in [name for name in sys.modules if name.startswith("my_sensors")]:
        del sys.modules[name]


@pytest.fixture
def study(tmp_path) -> Path:
    """Write two subjects' gaze and its manifest."""
    root, rows = tmp_path / "study", []
    root.mkdir()
    for number in range(2):
        columns = {"time_s": [n / 60 for n in range(120)], "x": [900.0 + number] * 120}
        table = pl.DataFrame(columns | {"y": [500.0] * 120, "pupil_mm": [3.0] * 120})
        table.write_csv(root / f"{number}.csv")
        rows.append(f"s{number},p{number},gaze,{number}.csv")
    text = "\n".join(["session,subject,modality,path", *rows])
    (root / "recordings.csv").write_text(text)
    return root


def test_its_modality_is_found_checked_catalogued_and_ingested(
    package, study, tmp_path, monkeypatch
):
    monkeypatch.setenv("CONSILIENCE_LIMIT_S", "inf")  # in this process, where the package is found
    assert "gaze" in registry.names("modalities")
    modality = registry.get("modalities", "gaze")
    check_features(ModalityCase(modality, [(study / f"{n}.csv", None) for n in range(2)]))
    content = params.defaults("folder", str(study))
    assert content["modalities"]["gaze"]["hop_s"] == 0.1
    settings = params.parse(content).modalities["gaze"]
    dataset = registry.get("datasets", "folder").at(study)
    table = build_catalog(dataset, study, ["gaze"]).recordings["gaze"]
    (tmp_path / "out").mkdir()
    results = ingest.ingest(table, study, "gaze", settings, tmp_path / "store", tmp_path / "out")
    assert [(result.status, result.n_frames) for result in results] == [("ok", 20)] * 2


def test_its_code_is_part_of_the_results_key(package):
    settings = registry.get("modalities", "gaze").Params()
    before = ingest.code_key("gaze", settings)
    assert before == ingest.code_key("gaze", settings)
    with (package / "my_sensors/gaze.py").open("a") as file:
        file.write("\nCHANGED = True\n")
    assert before != ingest.code_key("gaze", settings)


def test_its_encoder_is_found_and_is_not_part_of_the_results_key(package, monkeypatch):
    modality = registry.get("modalities", "gaze")
    monkeypatch.setattr(modality.Params, "ENCODER", "attention")
    encoder = modality.encoder(5, 7, 0.0)
    assert type(encoder).__module__ == "my_sensors.networks"
    assert encoder.n_features == 5
    before = ingest.code_key("gaze", modality.Params())
    with (package / "my_sensors/networks.py").open("a") as file:
        file.write("\nCHANGED = True\n")
    assert before == ingest.code_key("gaze", modality.Params())


def test_its_model_inputs_are_cut_and_are_part_of_the_windows_key(package, monkeypatch):
    params = registry.get("modalities", "gaze").Params
    monkeypatch.setattr(params, "INPUTS", "extent")
    cutter = Cutter("gaze", params(), ("x", "y"), Grid(10.0, 3))
    frames = np.array([[[1, 2], [4, 2], [2, 9]]], np.float32)
    assert cutter.inputs(frames, np.array([True])).tolist() == [[3, 7]]
    in_use = {"modalities": ["gaze"], "inputs": ["extent"], "encoders": []}
    before = CodeBase().fingerprint([cutting.__name__], in_use)
    assert "my_sensors.extent" in before.modules
    assert "consilience.inputs.functionals" not in before.modules


def test_a_built_in_name_cannot_be_replaced(package):
    assert type(registry.get("modalities", "eeg")).__module__ == "consilience.modalities.eeg"


def test_a_package_that_cannot_be_loaded_is_named(package):
    with pytest.raises(ConsilienceError, match=r"'my-sensors' offers 'broken'.*my_sensors.nowhere"):
        registry.get("modalities", "broken")


def test_without_the_package_there_is_no_such_modality():
    with pytest.raises(ConsilienceError, match="unknown modality 'gaze'"):
        registry.get("modalities", "gaze")


def test_parameters_of_another_package_are_those_of_its_modality(package):
    params_class = registry.params("modalities", "gaze")
    assert params_class is registry.get("modalities", "gaze").Params
    assert params_class().frame_rate_hz == 10


@pytest.mark.parametrize(("kind", "name"), [("modalities", "adio"), ("methods", "hybird")])
def test_parameters_of_an_unknown_name_are_refused_with_a_suggestion(kind, name):
    with pytest.raises(ConsilienceError, match=f"unknown .* '{name}' .did you mean"):
        registry.params(kind, name)


def test_light_parameters_do_not_import_the_plug_in(monkeypatch):
    def refuse(kind: str, name: str) -> None:
        raise AssertionError(f"{kind} {name} was imported")

    monkeypatch.setattr(registry, "get", refuse)
    assert registry.params("modalities", "video")().frame_rate_hz == 25


def test_a_name_of_a_family_is_a_plug_in_of_that_name():
    modality = registry.get("modalities", "ecg_features")
    assert modality.name == "ecg_features"
    assert registry.params("modalities", "ecg_features") is modality.Params
    assert registry.exists("modalities", "ecg_features")
    assert "ecg_features" not in registry.names("modalities")
    assert registry.listed("modalities") == [*registry.names("modalities"), "*_features"]


@pytest.mark.parametrize("name", ["_features", "Ecg_features", "1_features", "ecg_feature"])
def test_a_name_outside_the_form_belongs_to_no_family(name):
    assert registry.family("modalities", name) is None
    assert not registry.exists("modalities", name)
    with pytest.raises(ConsilienceError, match=r"known: .*eeg.*\*_features"):
        registry.get("modalities", name)


def test_a_package_can_define_a_name_of_a_family(package):
    with (package / "my_sensors-1.0.dist-info/entry_points.txt").open("a") as file:
        file.write("[consilience.modalities]\ngaze_features = my_sensors.gaze:modality\n")
    assert registry.family("modalities", "gaze_features") is None
    assert registry.get("modalities", "gaze_features").name == "gaze"


def test_shared_modules_are_not_plug_ins():
    for kind in registry.SINGULAR:
        assert not registry.SHARED & set(registry.names(kind))
        assert "params" not in registry.names(kind)


def test_a_plug_in_of_a_study_is_found_when_its_file_appears_and_not_after_it_is_gone(tmp_path):
    (tmp_path / "params.yaml").write_text("{}")
    active.use(tmp_path)
    before = registry.names("methods")
    file = tmp_path / "methods/added_later.py"
    file.parent.mkdir()
    file.write_text("method = int\n")
    assert set(registry.names("methods")) - set(before) == {"added_later"}
    assert registry.get("methods", "added_later") is int
    file.unlink()
    assert registry.names("methods") == before


def test_a_package_is_found_when_it_is_installed(tmp_path, monkeypatch):
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    assert "later" not in registry.names("methods")
    info = site / "later-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: later\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[consilience.methods]\nlater = builtins:int\n")
    assert registry.get("methods", "later") is int
    assert "later" in registry.names("methods")


def test_folders_are_not_searched_again_while_nothing_has_changed(monkeypatch):
    expected = registry.names("methods")

    def refuse(*_: object) -> None:
        raise AssertionError("searched again")

    monkeypatch.setattr("pkgutil.iter_modules", refuse)
    monkeypatch.setattr(registry, "entry_points", refuse)
    assert registry.names("methods") == expected
