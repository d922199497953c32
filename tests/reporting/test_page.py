import re
import tomllib
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import plotly.graph_objects as go
import polars as pl
import pytest
from jinja2 import UndefinedError

from consilience.core.errors import ConsilienceError
from consilience.project import Project
from consilience.reporting import page, tables
from consilience.reporting.charts import style
from consilience.reporting.figure import (
    Figure,
    Grid,
    Listing,
    Note,
    Section,
    Tabular,
    chart,
    drawing,
)
from consilience.reporting.page import render
from consilience.reporting.results import load_results
from consilience.reporting.tables import Cell, Row, Table
from consilience.schema.tables import Annotators, Confusions, frame_of, write_table

Run = Callable[..., Project]
ROOT = Path(__file__).parents[2]

PAGES = {
    "page.html.j2",
    "report.html.j2",
    "predictions.html.j2",
    "person.html.j2",
    "bench.html.j2",
    "glossary.md",
    "circumstances.html.j2",
}


class Elements(HTMLParser):
    """Collects ids, labels of charts, and everything that would cause a network request."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.labels: list[str | None] = []
        self.requests: list[str] = []
        self.anchors: list[str] = []
        self.files: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids += [str(values["id"])] if "id" in values else []
        self.labels += (
            [values.get("aria-label")] if "chart" in str(values.get("class", "")).split() else []
        )
        links = [str(values[key]) for key in ("src", "srcset", "href") if key in values]
        self.anchors += [link[1:] for link in links if link.startswith("#")]
        self.requests += [link for link in links if not link.startswith(("#", "data:"))]
        self.files += [values["download"]] if "download" in values else []
        self.requests += [tag] if tag in ("link", "iframe", "object", "embed") else []


def unlinked(html: str) -> str:
    """Return a page without its links, which divide the sentences."""
    return re.sub("</?a[^>]*>", "", html)


@pytest.mark.parametrize("n_modalities", [3, 2])
def test_page_makes_no_network_request_and_is_reproducible(
    run_of_sensors: Run, n_modalities: int
) -> None:
    project = run_of_sensors(n_modalities)
    html = render(load_results(project))
    # Without an assertion on both pages, whose difference pytest would take minutes to describe.
    is_same = html == render(load_results(project))
    assert is_same
    elements = Elements()
    elements.feed(html)
    assert elements.requests == []
    assert not re.search(r"@import|url\(\s*['\"]?https?:", html.split("</style>")[0])
    assert len(set(elements.ids)) == len(elements.ids) >= 12
    assert {*elements.anchors} <= {*elements.ids}
    assert len(html.encode()) <= 8e6


def test_page_contains_every_chart_of_three_sensors(html: str) -> None:
    elements = Elements()
    elements.feed(html)
    assert {
        *(
            f"chart-noise-{name}-{kind}"
            for name in ("eeg", "audio", "video")
            for kind in ("noise", "packet_loss")
        ),
        *(f"chart-availability-{name}" for name in ("eeg", "audio", "video")),
        *(f"chart-training-{name}" for name in ("concat", "late_fusion", "coherence_transfer")),
        *(
            f"chart-{name}"
            for name in ("subsets", "mismatch", "reliability", "confusion", "coherence")
        ),
        *(f"chart-{name}" for name in ("timeline", "quality", "residuals", "anchors", "clocks")),
        *(f"chart-{name}" for name in ("classes", "agreement", "folds")),
        "chart-agreement-of-recordings",
        *(f"chart-{name}" for name in ("annotators", "lags", "lag-gains", "annotator-confusion")),
    } == {name for name in elements.ids if name.startswith("chart-")}
    assert all(elements.labels)
    assert len(elements.labels) == sum(name.startswith("chart-") for name in elements.ids)
    n_figures = len(elements.labels)
    assert elements.files == [
        f"figure-{number}-{name.removeprefix('chart-')}.csv"
        for number, name in enumerate(
            (name for name in elements.ids if name.startswith("chart-")), start=1
        )
    ]
    assert {f"figure-{number}" for number in range(1, n_figures + 1)} <= {*elements.ids}
    assert "Against the ground truth" in html
    assert "largest standard error, ms" in html
    assert "audio: severity of packet loss" in html
    assert "audio mismatched" in html
    assert "mismatched-sensor AUROC" in html
    assert 'EEG</td><td class="short">97.2\u00a0%</td><td class="short">EEG 4 s late</td>' in html


def test_page_of_a_shared_clock_shows_no_alignment(run_of_sensors: Run) -> None:
    html = render(load_results(run_of_sensors(2)))
    assert "share one clock" in unlinked(html)
    assert "chart-residuals" not in html
    assert "Against the ground truth" not in html


def test_text_of_the_input_is_escaped(html: str) -> None:
    assert "names &lt;no&gt; session" in html
    assert "names <no> session" not in html
    assert '>a.bin</td><td class="short">2 &lt;gaps&gt;</td>' in html


@pytest.mark.parametrize(
    ("lead", "words"),
    [(0.05, "ahead of"), (0.005, "not distinguishable from"), (-0.05, "behind")],
)
def test_verdict_follows_the_interval_of_the_lead(
    run_of_sensors: Run, lead: float, words: str
) -> None:
    html = render(load_results(run_of_sensors(lead=lead)))
    comparisons = re.findall("<strong>(ahead of|not distinguishable from|behind)</strong>", html)
    assert comparisons == [words]


def test_missing_results_are_reported_by_file(run_of_sensors: Run) -> None:
    project = run_of_sensors()
    (project.evaluation / "metrics.json").unlink()
    with pytest.raises(ConsilienceError, match=r"metrics\.json: the results are missing"):
        load_results(project)


def test_page_shows_the_annotators(html: str) -> None:
    elements = Elements()
    elements.feed(html)
    assert {"chart-annotators", "chart-lags", "chart-lag-gains"} <= set(elements.ids)
    assert "chart-annotator-confusion" in elements.ids
    assert "<td>0.432</td>" in html
    assert "3 of 40 labelled windows" in unlinked(html)
    assert "<first>" not in html


def test_page_omits_annotators_without_comparisons(run_of_sensors: Run) -> None:
    project = run_of_sensors()
    for name, schema in (("annotators", Annotators), ("confusions", Confusions)):
        write_table(project.labels / f"{name}.parquet", frame_of([], schema), schema)
    html = render(load_results(project))
    assert "chart-lags" not in html
    assert "chart-annotator" not in html


def test_every_template_is_used_and_packaged() -> None:
    folder = Path(page.__file__).parent / "templates"
    names = {path.name for path in folder.iterdir()}
    text = "".join((folder / name).read_text() for name in names)
    used = set(re.findall(r'{% (?:include|from) "([^"]+)"', text)) | PAGES
    assert names == used
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert settings["package-data"]["consilience.reporting"] == ["templates/*"]


def test_contents_list_every_heading(html: str) -> None:
    contents = html[html.index('<nav class="contents"') : html.index("</nav>")]
    headings = re.findall(r'<h2 id="([^"]+)">', html)
    assert re.findall(r'<a href="#([^"]+)">', contents) == headings
    assert headings[0] == "robustness"
    assert headings[-1] == "glossary"


def test_sections_that_others_build_join_the_page(run_of_sensors: Run) -> None:
    figure = chart("points", style.figure([go.Scatter(x=[0, 1], y=[0.25, 0.5])], 200))
    shown = Figure(figure, "Vacuity of <two> windows.", "It rises.", {"eeg": "#102030"}, "diamond")
    svg = drawing("steps", '<svg viewBox="0 0 9 9"></svg>', pl.DataFrame({"step_s": [0.1]}))
    section = Section(
        "people",
        "Results by person",
        ("One person has much vacuity.",),
        (
            Grid((shown, Figure(svg, "Steps."))),
            Tabular(Table(["person", "accuracy"], [Row("sub-01", [Cell("0.5")])]), "By person."),
            Listing("Doubtful labels", ("window",), [("a <b>",)]),
            Note("Subheading", is_heading=True),
            Note("A note."),
        ),
    )
    html = render(load_results(run_of_sensors()), [section])
    part = html[html.index('<h2 id="people">') : html.index('<h2 id="glossary">')]
    assert '<a href="#people">Results by person</a>' in html
    assert 'href="#term-vacuity">vacuity</a>' in part
    assert "of &lt;two&gt; windows" in unlinked(part)
    assert 'aria-label="It rises. horizontal axis: from 0 to 1; ' in part
    assert '<i class="diamond" style="background: #102030">' in part
    assert '<svg viewBox="0 0 9 9"></svg>' in part
    assert "step_s%0A0.1%0A" in part
    assert ".</b> By person." in part
    assert ">a &lt;b&gt;</td>" in part
    assert "<h3>Subheading</h3>" in part
    assert '<p class="note">A note.</p>' in part


def test_a_name_missing_from_the_context_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        page.environment().from_string("{{ absent }}").render()


def test_terms_of_the_page_are_those_of_the_glossary(html: str) -> None:
    text = re.sub(r"<script.*?</script>|<[^>]+>", " ", html, flags=re.DOTALL).lower()
    glossary = (ROOT / "docs/glossary.md").read_text()
    terms = {term.strip().lower() for term in re.findall(r"^\| ([^|]+) \|", glossary, re.MULTILINE)}
    for term in ("balanced accuracy", "mismatch", "coherence", "vacuity", "drift", "residual"):
        assert term in terms
        assert term in text
    for title in [*tables.DIAGNOSES.values(), *tables.AGREEMENT.values()]:
        name = re.split(r" by | of ", title)[0].lower()
        assert name in glossary.lower(), title
