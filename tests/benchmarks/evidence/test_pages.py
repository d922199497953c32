from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.evidence import pages, plan, results
from benchmarks.evidence.claims import Claim, Finding


@pytest.mark.slow
def test_pages_state_every_verdict_and_link_every_table_and_figure(
    done: Path, tmp_path: Path
) -> None:
    outcomes = results.load(plan.load(done / "experiments.yaml"), done / "results")
    reached = pages.write(tmp_path / "pages", outcomes, {}, {})
    verdicts = {claim.number: claim.verdict for claim in reached}
    assert len(verdicts) == 9
    assert verdicts[4] == verdicts[9] == "not measured"
    page = (tmp_path / "pages/README.md").read_text()
    drawn = [path.name for path in (tmp_path / "pages/figures").iterdir()]
    assert "severity_ravdess_clean.svg" in drawn
    assert all(f"figures/{name}" in page for name in drawn)
    for claim in reached:
        assert f"## {claim.number} · {claim.title}\n\n**{claim.verdict.capitalize()}.**" in page
    for name in outcomes.outcomes:
        assert f"(tables/{name}.md)" in page
        assert (tmp_path / f"pages/tables/{name}.md").is_file()
    text = (tmp_path / "pages/tables/ravdess_clean.md").read_text()
    assert "| **coherence transfer** |" in text
    for heading in ("mismatched sensor", "mismatch detected", "out of distribution"):
        assert f"| {heading} |" in text
    stored = json.loads((tmp_path / "pages/tables/results.json").read_text())
    assert [claim["verdict"] for claim in stored["claims"]] == list(verdicts.values())


@pytest.mark.slow
def test_the_same_results_give_the_same_bytes(done: Path, tmp_path: Path) -> None:
    outcomes = results.load(plan.load(done / "experiments.yaml"), done / "results")
    for name in ("first", "second"):
        pages.write(tmp_path / name, outcomes, {}, {})
    for path in (tmp_path / "first").rglob("*.*"):
        again = tmp_path / "second" / path.relative_to(tmp_path / "first")
        assert again.read_bytes() == path.read_bytes()


def test_the_overview_counts_held_claims_and_findings() -> None:
    held, missed = Finding("a", "1", True), Finding("b", "2", False)
    reached = [Claim(1, "First", [held, held]), Claim(2, "Second", [held, missed])]
    none: results.Results = results.Results(None, {})  # type: ignore[arg-type]
    page = pages.readme(none, reached, {}, [])
    assert "**1 of 2 claims are held.**" in page
    assert "| 1 | [First](#1--first) | **held** | 2 of 2 |" in page
    assert "| 2 | [Second](#2--second) | **held in part** | 1 of 2 |" in page
    assert "| b | 2 | **missed** |" in page


def test_trials_list_scores_and_how_many_folds_chose_them() -> None:
    trials = [
        {"changes": {}, "loss": {"0": 1.0, "1": None}},
        {"changes": {"training": {"dropout": 0.2}}, "loss": {"0": 0.5, "1": 1.5}},
    ]
    text = pages.tuning_page({"x": {"late_fusion": {"trials": trials, "chosen": {"0": 1, "1": 0}}}})
    assert "| late fusion | 1.000 (1) | dropout 0.2: 1.000 (1) |" in text
