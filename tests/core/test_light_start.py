"""Reading the parameters imports no signal-processing library, and ``--help`` none of data."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from consilience import params
from consilience.core import registry

HEAVY = ("torch", "mne", "librosa", "cv2", "av", "scipy.signal", "onnxruntime")
FAMILIES = {"feature_table": "ecg_features"}  # a name of each family, by its module
MODALITIES = sorted(
    FAMILIES.get(path.stem, path.stem)
    for path in Path(params.__file__).parent.glob("modalities/params/*.py")
    if path.stem not in ("__init__", "single_channel")
)


def test_loading_the_parameters_is_light(tmp_path: Path) -> None:
    content = params.defaults("demo", modalities=["audio", "eeg", "video"])
    (tmp_path / "params.yaml").write_text(params.document(content))
    assert not loaded_by(
        f"from pathlib import Path; from consilience import params\n"
        f"params.load(Path({str(tmp_path / 'params.yaml')!r}))"
    )


def loaded_by(code: str, libraries: tuple[str, ...] = HEAVY) -> set[str]:
    """Return the libraries that a new process has imported after running some code."""
    report = f"import sys; print(*(name for name in {libraries} if name in sys.modules))"
    command = [sys.executable, "-c", f"{code}\n{report}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_parameters_of_every_modality_are_light() -> None:
    code = "from consilience.core import registry\n" + "\n".join(
        f"registry.params('modalities', '{name}')()" for name in MODALITIES
    )
    assert not loaded_by(code)


@pytest.mark.parametrize("name", registry.names("modalities"))
def test_a_light_class_is_the_class_of_the_modality(name: str) -> None:
    assert name in MODALITIES
    assert registry.params("modalities", name) is registry.get("modalities", name).Params


def test_the_command_line_starts_without_libraries_of_data() -> None:
    code = (
        "from typer.testing import CliRunner; from consilience.cli.commands import app\n"
        "assert 'summary' in CliRunner().invoke(app, ['--help']).output"
    )
    assert not loaded_by(code, ("numpy", "pydantic", "polars", "joblib", "psutil", "ruamel.yaml"))
