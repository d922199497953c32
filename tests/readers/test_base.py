"""What recordings of every format share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from consilience.core.errors import RecordingError
from consilience.readers.base import Recording
from consilience.readers.units import VOLTAGE


class Stub(Recording):
    """A recording with a channel per unit; every sample is 1 in the unit of the file."""

    def __init__(self, path: Path, *units: str, n_samples: int = 5) -> None:
        path.write_bytes(b"x" * 100)
        self.path, self.names, self.units = path, tuple(f"c{i}" for i in range(len(units))), units
        self.n_samples = n_samples

    def unit(self, name):
        return self.units[self.names.index(name)]

    def _read(self, channels):
        return np.ones((self.n_samples, len(channels)))


def test_values_are_in_the_units_of_the_si(tmp_path):
    stub = Stub(tmp_path / "a", "mV", "uS", "kOhm", "", "Boolean")
    assert stub.values(stub.names, 1e-6)[0].tolist() == [1e-3, 1e-6, 1e3, 1e-6, 1]


def test_an_unknown_unit_is_refused_and_a_missing_one_listed(tmp_path):
    assert Stub(tmp_path / "a", "uV", "", "n/a").without_unit(["c0", "c1", "c2"], VOLTAGE) == [
        "c1",
        "c2",
    ]
    for unit in ("furlong", "uS"):
        with pytest.raises(RecordingError, match=f"'c1' has the unit '{unit}', not a known unit"):
            Stub(tmp_path / "a", "uV", unit).without_unit(["c0", "c1"], VOLTAGE)


def test_samples_that_need_far_more_memory_than_the_file_are_refused(tmp_path):
    stub = Stub(tmp_path / "a", "uV", n_samples=10**9)
    with pytest.raises(RecordingError, match=r"0\.0 MB would take 8\.0 GB of memory"):
        stub.values(["c0"], 1.0)
