"""The page of a bench: its tables, and that it opens without a network."""

from __future__ import annotations

import re
from typing import Any

from consilience.bench import page


def evaluated(content: dict[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in content["corpora"].items() if "methods" in each}


def test_the_best_of_a_corpus_is_marked(content: dict[str, Any]) -> None:
    methods = ["coherence_transfer", "concat", "kd"]
    table = page.figures("all", evaluated(content), methods)
    assert table.columns == ["corpus", "coherence transfer", "concat", "kd", "chance"]
    row = table.rows[0]
    assert [cell.text for cell in row.cells] == ["80.0", "75.0", "–", "50.0"]
    assert [cell.is_best for cell in row.cells] == [True, False, False, False]
    assert row.cells[0].interval == "70–90"
    errors = page.figures("ece", evaluated(content), methods).rows[0].cells
    assert [(cell.text, cell.is_best) for cell in errors[:2]] == [("5.0", True), ("10.0", False)]


def test_an_interval_stays_within_the_shares_there_can_be(content: dict[str, Any]) -> None:
    content["corpora"]["tables"]["methods"]["concat"] |= {"ece_low": -0.02, "ece_high": 1.1}
    row = page.figures("ece", evaluated(content), ["concat"]).rows[0]
    assert row.cells[0].interval == "0–100"


def test_differences_are_in_points_and_counted_by_their_interval(content: dict[str, Any]) -> None:
    corpora = evaluated(content)
    table = page.leads(corpora)
    assert table.columns == ["corpus: reference", "all sensors, less concat", "grid, less concat"]
    assert [cell.text for cell in table.rows[1].cells] == ["−5.0", "–"]
    assert table.rows[0].cells[0].interval == "+1.0 to +9.0"
    assert page.comparisons(corpora) == [
        "all sensors, coherence transfer compared with concat: ahead in 1, behind in 1 of 2 corpora"
    ]


def test_the_page_opens_offline_and_is_reproducible(content: dict[str, Any]) -> None:
    html = page.render(content)
    assert html == page.render(content)
    outside = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
    assert not re.search(
        r"(src|srcset)=|href=\"(?!#|data:)|<(link|iframe|object)|@import|url\(", outside
    )
    charts = re.findall(r'id="(chart-[\w-]+)"', outside)
    assert charts == ["chart-accuracy-all", "chart-accuracy-grid"]
    assert "2 of 4 corpora are evaluated" in outside
    assert "&lt;all&gt; files are damaged" in outside
    assert "not the layout of any &lt;dataset&gt;" in outside
    assert ">not run yet</td>" in outside
    assert "1.0 (abc)" in outside


def test_a_bench_without_figures_names_the_reasons(content: dict[str, Any]) -> None:
    content["corpora"] = {"eav": content["corpora"]["eav"]}
    html = page.render(content)
    assert 'class="chart"' not in html
    assert "files are damaged" in html
    assert "0 of 1 corpora" in html


def test_a_single_method_has_no_differences(content: dict[str, Any]) -> None:
    for each in evaluated(content).values():
        each["methods"].pop("concat")
        each["leads"] = {}
    html = page.render(content)
    assert 'id="differences"' not in html
    assert 'id="grid"' in html
