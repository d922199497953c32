"""Sections of the report that are built from figures and tables alone, a module each."""

from __future__ import annotations

from collections.abc import Callable

from consilience.project import Project
from consilience.reporting.content.compute import compute
from consilience.reporting.content.data_card import card
from consilience.reporting.content.doubtful import doubtful, ranking
from consilience.reporting.content.drift import drift
from consilience.reporting.content.latent import latent
from consilience.reporting.content.people import people
from consilience.reporting.content.recording import recording
from consilience.reporting.content.time_course import time_course
from consilience.reporting.figure import Section
from consilience.reporting.results import Results

# Each returns a section, or None where the results hold nothing for it.
BUILDERS: tuple[Callable[[Project, Results], Section | None], ...] = (
    people,
    recording,
    time_course,
    latent,
    doubtful,
    ranking,
    drift,
    compute,
    card,
)


def sections(project: Project, results: Results) -> list[Section]:
    """Return the sections for which the results hold something, in the order of `BUILDERS`."""
    built = [build(project, results) for build in BUILDERS]
    return [section for section in built if section is not None]
