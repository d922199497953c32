"""The page as a browser shows it; needs a Chromium, see `tests.browser`."""

import base64
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from consilience.reporting.charts import style
from tests.browser import PROGRAM, Browser

pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="needs Chromium"),
    pytest.mark.timeout(900),
]
MEASURE = (Path(__file__).parent / "measure.js").read_text()
WIDTHS = (360, 768, 1440)
PRESENTATIONS = (("screen", "light"), ("screen", "dark"), ("print", "light"))


@pytest.fixture(scope="module")
def page(html: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(html)
    return path


@pytest.fixture(scope="module")
def browser(page: Path) -> Iterator[Browser]:
    with Browser() as browser:
        yield browser


def test_nothing_is_cut_overlaps_or_lacks_contrast(browser: Browser, page: Path) -> None:
    faults: dict[tuple[int, str, str], list[str]] = {}
    for width in WIDTHS:
        for media, scheme in PRESENTATIONS:
            browser.size(width)
            browser.emulate(media, scheme)
            browser.open(page)
            found = [*browser.evaluate(MEASURE), *browser.messages, *browser.requests]
            faults |= {(width, media, scheme): found} if found else {}
    assert not faults


def test_measurement_finds_faults(browser: Browser, tmp_path: Path) -> None:
    """Each kind once, so that a page without faults is not one without measurements."""
    path = tmp_path / "faulty.html"
    path.write_text(
        "<!doctype html><meta name='viewport' content='width=device-width'>"
        "<body style='margin:0;background:#fff'><p style='color:#bbb'>pale</p>"
        "<p style='position:absolute;left:300px;white-space:nowrap'>far beyond the right edge</p>"
        "<p style='position:absolute;top:300px'>one line</p>"
        "<p style='position:absolute;top:304px'>another line</p>"
        "<div class='chart' style='height:40px;width:50px'><svg width='50' height='40' "
        "style='overflow:visible'><text x='20' y='20'>wide label</text></svg></div>"
        "<div class='chart'><svg viewBox='0 0 900 90' width='300'><text y='20'>tiny</text></svg>"
        "</div>"
        "<script>console.log('note'); new Image().src = 'http://127.0.0.1:9/x.png'</script>"
    )
    browser.size(360)
    browser.emulate()
    browser.open(path)
    found = browser.evaluate(MEASURE)
    for kind in ("contrast:", "cut:", "overlap:", "cut in chart:", "small:", "the page is"):
        assert any(fault.startswith(kind) for fault in found), kind
    assert any("note" in message for message in browser.messages)
    assert browser.requests == ["http://127.0.0.1:9/x.png"]


def test_figures_are_files(browser: Browser, page: Path) -> None:
    browser.size(768)
    browser.emulate("screen", "dark")
    browser.open(page)
    box = "document.getElementById('chart-confusion')"
    data, encoded = browser.evaluate(f"svgOf({box})").split(",", 1)
    assert data == "data:image/svg+xml"
    svg = unquote(encoded)
    assert svg.startswith("<svg")
    assert "predicted" in svg
    assert "rgb(29, 31, 34)" in svg or "#1d1f22" in svg  # the ink of paper, not of a dark screen
    link = browser.evaluate("document.querySelector('a[download$=\"-confusion.csv\"]').href")
    assert unquote(link.split(",", 1)[1]).startswith("labelled,predicted,value\n")


def test_the_file_of_a_drawing_holds_all_its_text(
    browser: Browser, page: Path, tmp_path: Path
) -> None:
    """What stands beside the plot is in the page's padding, which a file does not have."""
    browser.size(360)
    browser.emulate("screen", "light")
    browser.open(page)
    drawings = "[...document.querySelectorAll('.chart.drawing')]"
    for number in range(browser.evaluate(f"{drawings}.length")):
        _, encoded = browser.evaluate(f"svgOf({drawings}[{number}])").split(",", 1)
        path = tmp_path / f"{number}.svg"
        path.write_text(unquote(encoded))
        browser.open(path)
        rects = "[...document.querySelectorAll('text')].map((text) => text.getBoundingClientRect())"
        assert browser.evaluate(f"Math.min(0, ...{rects}.map((rect) => rect.left))") > -1
        browser.open(page)


def test_links_lead_to_the_glossary(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.evaluate("document.querySelector('a.term').click()")
    target = browser.evaluate("document.querySelector(':target').closest('.glossary') !== null")
    assert target is True


def test_a_printed_page_is_a_pdf_of_several_pages(
    browser: Browser, page: Path, tmp_path: Path
) -> None:
    browser.emulate("", "dark")
    browser.open(page)
    browser.pdf(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


def test_text_on_a_cell_of_a_matrix_has_contrast() -> None:
    """Cells are pictures, which the measurement cannot read: compute it for the fullest one."""
    for ink, paper in (("#1d1f22", "#fdfdfb"), ("#e6e6e3", "#17181a")):
        for colour in (style.ACCENT, style.NEUTRAL):
            share = style.MAX_OPACITY
            pairs = zip(_rgb(colour), _rgb(paper), strict=True)
            cell = [share * front + (1 - share) * back for front, back in pairs]
            light, dark = sorted((_luminance(cell), _luminance(_rgb(ink))), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (colour, paper)


def _rgb(colour: str) -> list[float]:
    return [value / 255 for value in base64.b16decode(colour[1:].upper())]


def _luminance(rgb: list[float]) -> float:
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in rgb]
    return sum(weight * v for weight, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
