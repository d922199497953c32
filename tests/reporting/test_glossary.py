from pathlib import Path

from consilience.reporting import glossary
from consilience.reporting.glossary import linked, terms

ROOT = Path(__file__).parents[2]
TEXT = """
| term | meaning | where |
|---|---|---|
| aligned, coarse | Status of a `clock`; see [the page](page.md). | here |
| coverage (of a window) | Share with <valid> frames; likewise *cover share*. | there |
"""


def test_package_holds_the_glossary_of_the_documentation() -> None:
    copy = Path(glossary.__file__).parent / glossary.FILE
    assert copy.read_bytes() == (ROOT / "docs/glossary.md").read_bytes()


def test_rows_of_a_glossary_name_terms() -> None:
    (aligned, names), (coverage, others) = terms(TEXT)
    assert names == ["aligned", "coarse"]
    assert aligned.anchor == "term-aligned-coarse"
    assert aligned.meaning == "Status of a <code>clock</code>; see the page."
    assert others == ["coverage", "cover share"]
    assert coverage.meaning == "Share with &lt;valid&gt; frames; likewise <em>cover share</em>."


def test_first_use_in_each_section_becomes_a_link() -> None:
    html, used = linked(
        "<section><p>Vacuity, vacuity.</p></section><section><p>vacuity</p></section>"
    )
    assert html.count('<a class="term" href="#term-vacuity">') == 2
    assert html.startswith('<section><p><a class="term" href="#term-vacuity">Vacuity</a>, vacuity.')
    assert [term.name for term in used] == ["vacuity"]


def test_longest_term_is_linked_with_its_plural() -> None:
    html, used = linked("<p>Coherence transfers; Krippendorff&#39;s alpha</p>")
    assert ">Coherence transfers</a>" in html
    assert {"coherence transfer"} <= {term.name for term in used}
    assert 'term-coherence"' not in html


def test_a_page_holds_the_terms_to_which_meanings_refer() -> None:
    _, used = linked("<p>subset</p>")
    assert [term.name for term in used] == ["modality subset", "subset"]


def test_meanings_refer_to_terms_of_the_glossary() -> None:
    rows = list(terms((ROOT / "docs/glossary.md").read_text()))
    names = {name.lower() for _, of_term in rows for name in of_term}
    referred = {name for term, _ in rows for name in glossary.REFERENCE.findall(term.meaning)}
    assert referred <= names


def test_headings_cells_links_and_scripts_stay_as_they_are() -> None:
    text = (
        "<h2>vacuity</h2><table><tr><td>vacuity</td></tr></table><p><a href='#x'>vacuity</a>"
        "<code>vacuity</code></p><script>vacuity</script><div title='vacuity'>vacuity</div>"
        "<p>non-vacuity</p>"
    )
    assert linked(text) == (text, [])
