"""People of a training, recognised by their recordings.

A bundle holds no name. A person is the set of the SHA-256 hashes, shortened, of the content of the
recordings; whoever has one of these files can find out that it was used, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from consilience.project import Project
from consilience.schema.constants import ROLES
from consilience.schema.tables import Recordings, read_table

DIGITS = 16  # of a hash: 64 bits, and less than half a megabyte for twenty thousand recordings

Roles = Mapping[str, str]  # by fold


def recordings_by_subject(project: Project, modalities: Iterable[str]) -> dict[str, list[str]]:
    """Return the shortened hashes of every subject's recordings, sorted.

    Parameters
    ----------
    project : Project
        With a catalog.
    modalities : iterable of str
    """
    tables = [read_table(project.recordings_table(name), Recordings) for name in modalities]
    rows = pl.concat(tables).select("subject", pl.col("content_hash").str.head(DIGITS))
    hashes: dict[str, set[str]] = {}
    for subject, content_hash in rows.drop_nulls().iter_rows():
        hashes.setdefault(subject, set()).add(content_hash)
    return {subject: sorted(of_subject) for subject, of_subject in hashes.items()}


def people_of(splits: pl.DataFrame, recordings: Mapping[str, list[str]]) -> list[dict[str, Any]]:
    """Return the people of a training for its card, in the order of their hashes.

    Parameters
    ----------
    splits : polars.DataFrame
        Table `Splits`.
    recordings : mapping of str to list of str
        What `recordings_by_subject` returned.
    """
    people = [
        {
            "recordings": recordings.get(subject, []),
            "roles": {str(fold): role for fold, role in of_subject.select("fold", "role").rows()},
        }
        for (subject,), of_subject in splits.sort("fold").group_by("subject", maintain_order=True)
    ]
    return sorted(people, key=lambda person: (person["recordings"], list(person["roles"].items())))


def seen_people(
    people: Iterable[Mapping[str, Any]], recordings: Mapping[str, list[str]]
) -> dict[str, Roles]:
    """Return the roles by fold of the subjects who have a recording of the training.

    Parameters
    ----------
    people : iterable of mapping
        Of a card.
    recordings : mapping of str to list of str
        What `recordings_by_subject` returned for other recordings.

    Returns
    -------
    dict of str to (mapping of str to str)
        By subject. With recordings of several people, the role nearest to the training.
    """
    owners: dict[str, list[Roles]] = {}
    for person in people:
        for content_hash in person["recordings"]:
            owners.setdefault(content_hash, []).append(person["roles"])
    seen: dict[str, Roles] = {}
    for subject, hashes in recordings.items():
        matched = [roles for content_hash in hashes for roles in owners.get(content_hash, [])]
        if matched:
            seen[subject] = {
                fold: min((roles[fold] for roles in matched if fold in roles), key=ROLES.index)
                for fold in {fold for roles in matched for fold in roles}
            }
    return seen
