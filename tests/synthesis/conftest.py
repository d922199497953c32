from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from consilience.schema.params.synthesis import SynthesisParams
from consilience.synthesis.corpus import write_corpus

TINY = SynthesisParams(subjects=2, sessions=1, trials=2, missing_fraction=0, faulty_fraction=0)


@pytest.fixture(scope="session")
def tiny() -> SynthesisParams:
    return TINY


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tiny corpus, written by one worker: the folders of recordings and of the ground truth."""
    folder = tmp_path_factory.mktemp("corpus")
    raw, truth = folder / "raw", folder / "truth"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONSILIENCE_WORKERS", "1")
        write_corpus(TINY, raw, truth)
    return raw, truth


@pytest.fixture(scope="session")
def expected_pulses_s(corpus: tuple[Path, Path]) -> Callable[[str], NDArray[np.float64]]:
    """Pulses of a recording in its device's time, from the corpus's tables alone."""
    raw, truth = corpus

    def expected(recording: str) -> NDArray[np.float64]:
        clock = pl.read_csv(truth / "clocks.csv").row(
            by_predicate=pl.col("recording") == recording, named=True
        )
        session = recording.rsplit("_", 1)[0]
        pulses = pl.read_csv(raw / "pulses.csv").filter(pl.col("session") == session)
        times_s = pulses["time_s"].to_numpy()
        return (times_s - clock["offset_s"]) / (1 + 1e-6 * clock["drift_ppm"])

    return expected
