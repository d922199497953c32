import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from consilience.core.errors import ConsilienceError
from consilience.reporting.page import render
from consilience.reporting.results import load_results
from consilience.schema.tables import Annotators, Confusions, frame_of, write_table

Run = Callable[..., Path]


class Elements(HTMLParser):
    """Collects ids, and all that would make a browser ask the network."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.requests: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids += [str(values["id"])] if "id" in values else []
        self.requests += [str(values[key]) for key in ("src", "srcset", "href") if key in values]
        self.requests += [tag] if tag in ("link", "iframe", "object", "embed") else []


@pytest.mark.parametrize(("n_modalities", "synthetic"), [(3, ["demo"]), (2, [])])
def test_page_asks_nothing_of_the_network_and_is_the_same_every_time(
    run_of_sensors: Run, n_modalities: int, synthetic: list[str]
) -> None:
    data = run_of_sensors(n_modalities)
    page = render(load_results(data, synthetic))
    assert page == render(load_results(data, synthetic))
    elements = Elements()
    elements.feed(page)
    assert elements.requests == []
    assert not re.search(r"@import|url\(\s*['\"]?https?:", page.split("</style>")[0])
    assert len(set(elements.ids)) == len(elements.ids) >= 12


def test_page_holds_every_figure_of_three_sensors(run_of_sensors: Run) -> None:
    page = render(load_results(run_of_sensors(), ["demo"]))
    elements = Elements()
    elements.feed(page)
    assert {
        *(
            f"figure-noise-{name}-{kind}"
            for name in ("eeg", "audio", "video")
            for kind in ("noise", "packet_loss")
        ),
        *(f"figure-availability-{name}" for name in ("eeg", "audio", "video")),
        *(f"figure-training-{name}" for name in ("concat", "late_fusion", "coherence_transfer")),
        *(
            f"figure-{name}"
            for name in ("subsets", "conflicts", "reliability", "confusion", "coherence")
        ),
        *(f"figure-{name}" for name in ("timeline", "quality", "residuals", "anchors", "clocks")),
        *(f"figure-{name}" for name in ("classes", "agreement", "folds")),
        *(f"figure-{name}" for name in ("annotators", "lags", "lag-gains", "annotator-confusion")),
    } == set(elements.ids)
    assert "Against the truth" in page
    assert "largest standard error, ms" in page
    assert "audio: severity of packet loss" in page
    assert "audio of somebody else" in page
    assert "contradicting sensor named, AUROC" in page


def test_page_of_a_shared_clock_says_there_was_nothing_to_align(run_of_sensors: Run) -> None:
    page = render(load_results(run_of_sensors(2), []))
    assert "share one clock" in page
    assert "figure-residuals" not in page
    assert "Against the truth" not in page


def test_words_of_the_input_are_escaped(run_of_sensors: Run) -> None:
    page = render(load_results(run_of_sensors(), ["demo"]))
    assert "names &lt;no&gt; session" in page
    assert "names <no> session" not in page


@pytest.mark.parametrize(
    ("lead", "words"),
    [(0.05, "ahead of"), (0.005, "not distinguishable from"), (-0.05, "behind")],
)
def test_verdict_says_no_more_than_the_interval(
    run_of_sensors: Run, lead: float, words: str
) -> None:
    page = render(load_results(run_of_sensors(lead=lead), ["demo"]))
    said = re.findall("<strong>(ahead of|not distinguishable from|behind)</strong>", page)
    assert said == [words]


def test_missing_results_are_named(run_of_sensors: Run) -> None:
    data = run_of_sensors()
    (data / "evaluation" / "metrics.json").unlink()
    with pytest.raises(ConsilienceError, match=r"metrics\.json: the results are missing"):
        load_results(data, ["demo"])


def test_page_tells_of_the_annotators(run_of_sensors: Run) -> None:
    page = render(load_results(run_of_sensors(), ["demo"]))
    elements = Elements()
    elements.feed(page)
    assert {"figure-annotators", "figure-lags", "figure-lag-gains"} <= set(elements.ids)
    assert "figure-annotator-confusion" in elements.ids
    assert "<td>0.432</td>" in page
    assert "3 of 40 labelled windows" in page
    assert "<first>" not in page


def test_page_is_silent_of_annotators_nobody_can_compare(run_of_sensors: Run) -> None:
    data = run_of_sensors()
    for name, schema in (("annotators", Annotators), ("confusions", Confusions)):
        write_table(data / "labels" / f"{name}.parquet", frame_of([], schema), schema)
    page = render(load_results(data, ["demo"]))
    assert "figure-lags" not in page
    assert "figure-annotator" not in page
