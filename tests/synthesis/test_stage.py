from pathlib import Path
from types import SimpleNamespace

import pytest

from consilience import params
from consilience.core.errors import ConsilienceError
from consilience.schema.params.synthesis import SynthesisParams
from consilience.stages import synthesize


def test_stage_writes_raw_and_truth_where_the_graph_expects_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = SynthesisParams(subjects=1, sessions=1, trials=1, trial_s=2)
    monkeypatch.setattr(params, "load", lambda: SimpleNamespace(synthesis=size))
    monkeypatch.chdir(tmp_path)
    synthesize.main("demo")
    assert (tmp_path / "data/raw/demo/recordings.csv").is_file()
    assert (tmp_path / "data/truth/demo/clocks.csv").is_file()


def test_unknown_corpus_is_refused() -> None:
    with pytest.raises(ConsilienceError, match="no synthetic corpus 'dmeo'"):
        synthesize.main("dmeo")
