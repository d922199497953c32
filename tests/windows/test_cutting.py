from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from consilience.core import registry
from consilience.modalities.params.audio import Params
from consilience.windows.cutting import Cutter
from consilience.windows.layout import Grid

# Cuts windows of every modality, as the stages `window` and `corrupt` and their workers do.
CUT = """
import sys
import numpy as np
from consilience.core import registry
from consilience.stages import corrupt, window
from consilience.windows.cutting import Cutter
from consilience.windows.layout import Grid
for name in registry.names("modalities"):
    params = registry.params("modalities", name)()
    cutter = Cutter(name, params, ("a", "b"), Grid(params.frame_rate_hz, 8))
    inputs = cutter.inputs(np.ones((3, 8, 2), np.float32), np.array([True, True, False]))
    assert len(inputs) == 3, name
    assert inputs[:2].any(), name
    assert not inputs[2].any(), name
assert "torch" not in sys.modules
"""


def test_cutting_windows_of_any_modality_imports_no_torch() -> None:
    subprocess.run([sys.executable, "-c", CUT], check=True)


@pytest.fixture
def cutter(monkeypatch: pytest.MonkeyPatch) -> Cutter:
    """Return a cutter whose model inputs are the squares of the frames."""
    monkeypatch.setattr(registry, "get", lambda kind, name: np.square)
    return Cutter("audio", Params(), ("a",), Grid(50.0, 2))


@pytest.mark.filterwarnings("error")
def test_inputs_are_0_where_not_available_or_not_finite(cutter: Cutter) -> None:
    frames = np.array([[[2.0], [np.nan]], [[1e30], [3.0]], [[4.0], [4.0]]], np.float32)
    inputs = cutter.inputs(frames, np.array([True, True, False]))
    assert inputs.dtype == np.float32
    assert inputs[..., 0].tolist() == [[4, 0], [0, 9], [0, 0]]
    assert frames[2, 0, 0] == 4


def test_no_window_has_no_input(cutter: Cutter) -> None:
    assert cutter.inputs(np.zeros((0, 2, 1), np.float32), np.zeros(0, bool)).shape == (0, 2, 1)
