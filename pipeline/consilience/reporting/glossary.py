"""Links the terms of a page to their meanings, which the page itself holds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from markupsafe import Markup, escape

FILE = "templates/glossary.md"  # a copy of docs/glossary.md, which is not in the package
ROW = re.compile(r"^\| (?P<name>[^|]+) \| (?P<meaning>[^|]+) \|", re.MULTILINE)
HEAD = "term"
# Markup of the meanings, and what it becomes in a page. A link to another document is its text.
MARKUP = (
    (re.compile(r"\[([^\]]+)\]\([^)]+\)"), r"\1"),
    (re.compile(r"`([^`]+)`"), r"<code>\1</code>"),
    (re.compile(r"\*\*([^*]+)\*\*"), r"<strong>\1</strong>"),
    (re.compile(r"\*([^*]+)\*"), r"<em>\1</em>"),
)
ALIAS = re.compile(r"likewise \*([^*]+)\*")
REFERENCE = re.compile(r"\b[Ss]ee <em>([^<]+)</em>")
TOKEN = re.compile(r"(<[^>]*>)")
TAG = re.compile(r"</?([a-z][a-z0-9]*)")
# Terms become links in running text and in titles of rows and columns. Cells hold names of the
# user's recordings, not terms.
LINKED = {"p", "li", "figcaption", "th", "dt", "dd"}
SKIPPED = {"a", "button", "code", "script", "style", "svg", "td", "summary", "h1", "h2", "h3"}


@dataclass(frozen=True)
class Term:
    """A row of the glossary: its anchor in a page, its name, and its meaning as HTML."""

    anchor: str
    name: str
    meaning: Markup


def linked(html: str) -> tuple[Markup, list[Term]]:
    """Link the first use of every term in each section to the glossary.

    Parameters
    ----------
    html : str
        As this package's templates write it: tags in lower case, all text escaped.

    Returns
    -------
    Markup
        The HTML with links.
    list of Term
        The terms that are used, and those to which their meanings refer, in alphabetical order.
    """
    phrases, pattern = _phrases()
    used: dict[str, Term] = {}
    seen: set[str] = set()
    stack: list[str] = []

    def link(match: re.Match[str]) -> str:
        term = phrases[match[1].lower()]
        if term.anchor in seen:
            return match[0]
        seen.add(term.anchor)
        used[term.anchor] = term
        return f'<a class="term" href="#{term.anchor}">{match[0]}</a>'

    parts = []
    for token in TOKEN.split(html):
        if token.startswith("<"):
            if token.startswith("<section"):
                seen.clear()
            _follow(token, stack)
            parts.append(token)
        else:
            is_text = LINKED & {*stack} and not SKIPPED & {*stack}
            parts.append(pattern.sub(link, token) if is_text else token)
    for term in list(used.values()):
        for phrase in REFERENCE.findall(term.meaning):
            other = phrases[phrase.lower()]
            used[other.anchor] = other
    return Markup("".join(parts)), sorted(used.values(), key=lambda term: term.name.lower())


def _follow(token: str, stack: list[str]) -> None:
    """Enter or leave the element of a tag, of those that decide on links."""
    match = TAG.match(token)
    if match is None or match[1] not in LINKED | SKIPPED:
        return
    if not token.startswith("</"):
        stack.append(match[1])
    elif match[1] in stack:
        while stack.pop() != match[1]:
            pass


@cache
def _phrases() -> tuple[Mapping[str, Term], re.Pattern[str]]:
    """Return the term of every phrase that names one, and the pattern of all phrases."""
    text = files("consilience.reporting").joinpath(FILE).read_text("utf-8")
    phrases = {str(escape(phrase)).lower(): term for term, names in terms(text) for phrase in names}
    # The longest first: "coherence transfer" is not "coherence".
    longest_first = sorted(phrases, key=lambda phrase: (-len(phrase), phrase))
    alternatives = "|".join(re.escape(phrase) for phrase in longest_first)
    return phrases, re.compile(rf"(?<![\w-])({alternatives})s?(?![\w-])", re.IGNORECASE)


def terms(text: str) -> Iterator[tuple[Term, list[str]]]:
    """Yield the rows of a glossary in Markdown, each with the phrases that name its term."""
    for match in ROW.finditer(text):
        name, meaning = match["name"].strip(), match["meaning"].strip()
        if name == HEAD or set(name) <= {"-", ":"}:
            continue
        bare = re.sub(r"\([^)]*\)", "", name)
        names = [name.strip() for name in bare.split(",") if name.strip()]
        html = str(escape(meaning))
        for pattern, replacement in MARKUP:
            html = pattern.sub(replacement, html)
        anchor = "term-" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        yield Term(anchor, name, Markup(html)), [*names, *ALIAS.findall(meaning)]
