from pathlib import Path

import pytest

from consilience.core.errors import ConsilienceError
from consilience.project import Project
from consilience.synthesis.run import synthesize

SMALL = """
synthesis: {subjects: 1, sessions: 1, trials: 1, trial_s: 2, missing_fraction: 0.1,
  faulty_fraction: 0.1, max_offset_s: 2.0, max_drift_ppm: 300.0}
"""


def test_the_corpus_is_written_where_the_graph_expects_it(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(SMALL)
    synthesize(Project(tmp_path), "demo")
    assert (tmp_path / "data/raw/demo/recordings.csv").is_file()
    assert (tmp_path / "data/truth/demo/clocks.csv").is_file()


def test_an_unknown_corpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConsilienceError, match="unknown synthetic corpus 'dmeo'"):
        synthesize(Project(tmp_path), "dmeo")
