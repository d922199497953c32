from pathlib import Path

import pytest

from consilience.schema.params.synthesis import SynthesisParams
from consilience.synthesis.corpus import write_corpus

TINY = SynthesisParams(subjects=2, sessions=1, trials=2, missing_fraction=0, faulty_fraction=0)


@pytest.fixture(scope="session")
def tiny() -> SynthesisParams:
    return TINY


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tiny corpus made by one worker: the raw folder and the truth's."""
    folder = tmp_path_factory.mktemp("corpus")
    raw, truth = folder / "raw", folder / "truth"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONSILIENCE_WORKERS", "1")
        write_corpus(TINY, raw, truth)
    return raw, truth
