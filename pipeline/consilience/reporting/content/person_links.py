"""Names and links of the pages of people."""

from __future__ import annotations

import hashlib
import re

from markupsafe import Markup

from consilience.reporting.results import Results

FOLDER = "people"  # beside the report
LEAST_PEOPLE = 2  # a page for a single person would repeat the report
MOST_PAGES = 3000
SAFE = re.compile(r"[^A-Za-z0-9-]+")
DIGEST = 6  # digits that keep names apart which differ in unsafe characters alone


def file_name(person: str) -> str:
    """Return the name of a person's page: letters, digits and hyphens."""
    safe = SAFE.sub("-", person).strip("-")
    if safe and safe == person:
        return f"{person}.html"
    return f"{safe}-{hashlib.sha256(person.encode()).hexdigest()[:DIGEST]}.html"


def people_with_pages(results: Results) -> list[str]:
    """Return the people who get a page: all test people, if there are several."""
    people = results.predictions["subject"].unique().sort().to_list()
    return people[:MOST_PAGES] if len(people) >= LEAST_PEOPLE else []


def link(person: str) -> Markup:
    """Return a link from the report to a person's page."""
    return Markup('<a href="{}/{}">{}</a>').format(FOLDER, file_name(person), person)
