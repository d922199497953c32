"""The report: one self-contained HTML page, which opens without a network."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import count
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from consilience.reporting import glossary, sections, words
from consilience.reporting.figure import Section
from consilience.reporting.results import Results

HEADING = re.compile(r'<h2 id="([^"]+)">(.*?)</h2>', re.DOTALL)
HEADER = re.compile(r"\s*<header>.*?</header>", re.DOTALL)
# Sections by name, from top to bottom; others come after these, and before the last.
ORDER = (
    "robustness",
    "people",
    "confidence",
    "latent-space",
    "windows",
    "over-time",
    "doubtful-labels",
    "windows-to-annotate",
    "coherence",
    "drift-of-recordings",
    "recordings",
    "a-recording",
    "clocks",
    "labels",
    "training",
    "compute",
    "data-card",
)
LAST = ("provenance",)
MOST_OPEN = 12  # a longer list is folded
PLOTLY_DATA = '<script type="application/json">'  # in a page with a chart that plotly draws
SHORT = 24  # characters of a cell that keeps its line; a longer one needs a width
# What a data URL may hold as it is.
URL_CHARACTERS = "!$'()*+,-./:;=?@[]^_`{|}~ "


def render(results: Results, extra: Sequence[Section] = (), is_simulated: bool = False) -> str:
    """Return the report as HTML; the same results give the same bytes.

    Parameters
    ----------
    results : Results
        As returned by `consilience.reporting.results.load_results`.
    extra : sequence of Section
        Sections beside the page's own.
    is_simulated : bool
        Whether the recordings are synthetic, which the heading then states.
    """
    contents = {
        "robustness": sections.robustness(results),
        "confidence": sections.confidence(results),
        "windows": sections.windows(results),
        "coherence": sections.coherence(results),
        "recordings": sections.recordings(results),
        "clocks": sections.clocks(results),
        "labels": sections.labels(results),
        "training": sections.training(results),
    }
    by_name = {section.name: section for section in extra}
    return framed(
        "report.html.j2",
        results.meta["dataset"],
        dataset=results.meta["dataset"],
        is_simulated=is_simulated,
        verdict=sections.verdict(results),
        sections=by_name,
        order=[*ORDER, *(name for name in by_name if name not in ORDER + LAST), *LAST],
        **contents,
    )


def framed(template: str, title: str, **context: Any) -> str:
    """Return a page as HTML: the frame of all pages around the content of one.

    The frame lists the headings, numbers the figures and tables, and holds the glossary of the
    terms that the content uses.

    Parameters
    ----------
    template : str
        Name of the content's template: a ``header``, then sections.
    title : str
        In the title bar of the browser.
    **context
        What the template needs.
    """
    templates = environment()
    content = templates.get_template(template).render(**context)
    html, terms = glossary.linked(content)
    header = HEADER.match(html)
    end = header.end() if header else 0
    contents = [(name, Markup(heading)) for name, heading in HEADING.findall(html)]
    return templates.get_template("page.html.j2").render(
        title=title,
        header=html[:end],
        body=html[end:],
        contents=[*contents, *([("glossary", "Glossary")] if terms else [])],
        glossary=terms,
        plotly_js=Markup(get_plotlyjs()) if PLOTLY_DATA in html else "",
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
    filters = (words.readable, words.percent, words.points, words.decimal, url_data, width_class)
    for function in filters:
        templates.filters[function.__name__] = function
    # An environment renders one page, whose figures and tables it numbers.
    templates.globals["most_open"] = MOST_OPEN
    templates.globals["figure_number"] = count(1).__next__
    templates.globals["table_number"] = count(1).__next__
    return templates


def width_class(cell: object) -> Markup:
    """Return the class attribute of a cell of words: short or long."""
    length = len(cell.striptags() if isinstance(cell, Markup) else str(cell))
    return Markup(f' class="{"short" if length <= SHORT else "long"}"')


def url_data(text: str) -> str:
    """Return text as the data of a ``data:`` URL."""
    return quote(text, safe=URL_CHARACTERS)
