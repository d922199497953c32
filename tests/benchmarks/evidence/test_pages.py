from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.evidence import pages, plan, results
from benchmarks.evidence.claims import Claim, Finding
from benchmarks.evidence.plan import Experiment


@pytest.mark.slow
def test_pages_state_every_verdict_and_link_every_table_and_figure(
    done: Path, tmp_path: Path
) -> None:
    outcomes = results.load(plan.load(done / "experiments.yaml"), done / "results")
    reached = pages.write(tmp_path / "pages", outcomes, {}, {})
    verdicts = {claim.number: claim.verdict for claim in reached}
    assert verdicts[8] == verdicts[13] == "not measured"
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


def readme(reached: list[Claim], *missing: str) -> str:
    plan: Any = SimpleNamespace(experiments=dict.fromkeys(missing))
    return pages.readme(results.Results(plan, {}), reached, {}, [])


def test_the_first_table_lists_every_missed_line_under_its_claim() -> None:
    held, missed = Finding("a", "1", True, 18), Finding("b", "2", False)
    reached = [
        Claim(1, "First", [held, held]),
        Claim(2, "Second", [held, missed]),
        Claim(3, "Third", [held, missed, missed], least=1),
    ]
    page = readme(reached)
    assert "**2 of 3 claims are held.**" in page
    first_table = page[: page.index("## 1 · First")].split("\n\n")[-2].splitlines()[2:]
    assert first_table == [
        "| 1 | [First](#1--first) | **held** | 2 of 2 |",
        "| 2 | [Second](#2--second) | **held in part** | 1 of 2 |",
        "|  | b: 2 | missed |  |",
        "| 3 | [Third](#3--third) | **held** | 1 of 3, 1 required |",
        "|  | b: 2 | missed |  |",
        "|  | b: 2 | missed |  |",
    ]
    assert "| a | 1 | 18 | held |" in page
    assert "| b | 2 |  | **missed** |" in page


def test_experiments_that_were_not_run_are_listed() -> None:
    assert "**Not run yet:** ravdess_clean, wesad_clean." in readme(
        [], "ravdess_clean", "wesad_clean"
    )
    assert "ot run yet" not in readme([])


@pytest.mark.slow
def test_entries_that_were_not_run_are_listed(done: Path) -> None:
    outcomes = results.load(plan.load(done / "experiments.yaml"), done / "results")
    assert pages._not_run(outcomes) == []
    del outcomes.outcomes["ravdess_clean"]["hybrid"]
    (line,) = pages._not_run(outcomes)
    assert line.endswith("ravdess_clean: hybrid.")


def test_trials_list_scores_and_how_many_folds_chose_them() -> None:
    trials = [
        {"changes": {}, "loss": {"0": 1.0, "1": None}},
        {"changes": {"training": {"dropout": 0.2}}, "loss": {"0": 0.5, "1": 1.5}},
    ]
    text = pages.tuning_page({"x": {"late_fusion": {"trials": trials, "chosen": {"0": 1, "1": 0}}}})
    assert "| late fusion | 1.000 (1) | dropout 0.2: 1.000 (1) |" in text


@pytest.mark.parametrize(
    ("chosen_on", "tuned", "text"),
    [
        (None, [], "settings: as planned."),
        ("ravdess_clean", ["ravdess_clean"], "settings: [chosen](tuning.md) on"),
        ("ravdess_clean", [], "has not been run"),
    ],
)
def test_a_page_states_how_the_settings_were_chosen(
    chosen_on: str | None, tuned: list[str], text: str
) -> None:
    experiment = Experiment(corpus="c", sensors=["a"], entries=["kd"], chosen_on=chosen_on)
    plan: Any = SimpleNamespace(experiments={"x": experiment})
    page = pages.experiment_page(results.Results(plan, {"x": {}}), "x", tuned)
    assert text in page
    assert "repro experiment@x" in page
