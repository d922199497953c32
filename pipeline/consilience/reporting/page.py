"""The report: one self-contained HTML page, which opens without a network."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from consilience.reporting import sections, words
from consilience.reporting.results import Results


def render(results: Results) -> str:
    """Return the report as HTML; the same results give the same bytes.

    Parameters
    ----------
    results : Results
        As returned by `consilience.reporting.results.load_results`.
    """
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            dataset=results.meta["dataset"],
            plotly_js=Markup(get_plotlyjs()),
            verdict=sections.verdict(results),
            robustness=sections.robustness(results),
            confidence=sections.confidence(results),
            windows=sections.windows(results),
            coherence=sections.coherence(results),
            recordings=sections.recordings(results),
            clocks=sections.clocks(results),
            labels=sections.labels(results),
            training=sections.training(results),
        )
    )


def environment() -> Environment:
    """Return the template environment: all values escaped, undefined names an error."""
    templates = Environment(
        loader=PackageLoader("consilience.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for function in (words.readable, words.percent, words.points, words.decimal):
        templates.filters[function.__name__] = function
    return templates
