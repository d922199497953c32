"""Files in which a dataset describes its people and itself: ``participants.tsv`` and others.

::

    participants.tsv            participant_id (or subject) [, sex, age, site, device]
    dataset_description.json    Name, License, Authors, EthicsApprovals, Consent, …

Both are files of BIDS (Gorgolewski et al. 2016) and may lie at the root of a dataset of any layout.
``Consent`` is a field of this project: under which consent the people were recorded.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from consilience.core.errors import ConsilienceError, one_line
from consilience.core.wording import counted
from consilience.readers.text_table import Problem, read_small_text, read_text
from consilience.schema.tables import Subjects, frame_of

PARTICIPANTS, DESCRIPTION = "participants.tsv", "dataset_description.json"
IDS = ("participant_id", "subject")
# Names of columns in tables of people, lower case, by the column of `Subjects`.
COLUMNS = {
    "sex": ("sex", "gender"),
    "age_years": ("age", "age_years"),
    "site": ("site", "centre", "center"),
    "device": ("device", "headset"),
}
SEXES = {"f": "female", "w": "female", "woman": "female", "m": "male", "man": "male", "o": "other"}
NO_VALUES = ("n/a", "na", "nan", "none", "unknown", "?")
MAX_TEXT = 60  # characters of a site or device
MAX_AGE_YEARS = 130
# Fields of a description that the data card shows.
FIELDS = (
    *("Name", "DatasetType", "License", "Authors", "Acknowledgements", "HowToAcknowledge"),
    *("Funding", "EthicsApprovals", "Consent", "ReferencesAndLinks", "DatasetDOI"),
)
MAX_FIELD = 600  # characters


def read_participants(root: Path, problems: list[Problem]) -> pl.DataFrame:
    """Read ``participants.tsv`` at the root of a dataset.

    Parameters
    ----------
    root : Path
    problems : list of (where, what, remedy)
        A table that cannot be read is appended, and ages that are not numbers.

    Returns
    -------
    polars.DataFrame
        Table `Subjects`, with the subjects as the file writes them; empty without the file.
    """
    path = root / PARTICIPANTS
    if not path.is_file():
        return frame_of([], Subjects)
    try:
        table = read_text(path, root, (), problems, delimiter="\t")
    except ConsilienceError as error:
        problems.append((error.where, error.what, f"{error.remedy}; it is not used"))
        return frame_of([], Subjects)
    key = next((name for name in IDS if name in table.columns), None)
    if key is None:
        remedy = f"call the first column {IDS[0]}; it is not used"
        problems.append((PARTICIPANTS, "no column with the people", remedy))
        return frame_of([], Subjects)
    return people_of(table.rename({key: "subject"}), PARTICIPANTS, problems)


def people_of(table: pl.DataFrame, name: str, problems: list[Problem]) -> pl.DataFrame:
    """Return what the rows of a table state about its subjects.

    Parameters
    ----------
    table : polars.DataFrame
        Text columns; ``subject`` and any of `COLUMNS`, in any case. A subject may have many rows.
    name : str
        The file, for the problems.
    problems : list of (where, what, remedy)
        Ages that are not numbers are appended.

    Returns
    -------
    polars.DataFrame
        Table `Subjects`: texts that differ between a subject's rows are joined by ``+``, ages are
        averaged. Empty if the table has none of the columns.
    """
    columns = {column.lower(): column for column in table.columns}
    sources_of = {
        target: columns[source]
        for target, sources in COLUMNS.items()
        for source in sources[::-1]
        if source in columns and columns[source] != "subject"
    }
    if not sources_of:
        return frame_of([], Subjects)
    texts = table.filter(pl.col("subject").is_not_null()).select(
        "subject", **{target: _stated(source) for target, source in sources_of.items()}
    )
    absent = [target for target in COLUMNS if target not in sources_of]
    texts = texts.with_columns(pl.lit(None, pl.String).alias(target) for target in absent)
    # BIDS writes ages above 89 as '89+'.
    age = pl.col("age_years").str.strip_chars("+ ").cast(pl.Float64, strict=False)
    typed = texts.with_columns(
        age_years=pl.when(age.is_between(0, MAX_AGE_YEARS)).then(age),
        sex=pl.col("sex").str.to_lowercase().replace(SEXES),
    )
    n_wrong = texts["age_years"].len() - texts["age_years"].null_count()
    n_wrong -= typed["age_years"].len() - typed["age_years"].null_count()
    if n_wrong:
        remedy = f"state ages in years, up to {MAX_AGE_YEARS}; they are left out"
        problems.append(
            (
                name,
                f"{counted(n_wrong, 'age is not a number', 'ages are not numbers')} of years",
                remedy,
            )
        )
    several = [
        pl.col(target).drop_nulls().unique().sort().str.join(" + ").replace("", None)
        for target in ("sex", "site", "device")
    ]
    people = typed.group_by("subject", maintain_order=True).agg(*several, pl.mean("age_years"))
    return people.select(*frame_of([], Subjects).columns)


def _stated(column: str) -> pl.Expr:
    """Return the cells of a text column that state something, shortened."""
    text = pl.col(column).cast(pl.String).str.strip_chars().str.head(MAX_TEXT)
    return pl.when(~text.str.to_lowercase().is_in(NO_VALUES)).then(text)


def for_subjects(subjects: Iterable[str], *tables: pl.DataFrame) -> pl.DataFrame:
    """Return a row of `Subjects` for each subject, from the first table that has it.

    Parameters
    ----------
    subjects : iterable of str
    *tables : polars.DataFrame
        `Subjects`. A subject may be written with or without the prefix ``sub-`` of BIDS.
    """
    people = pl.DataFrame({"subject": sorted(set(subjects))}, {"subject": pl.String})
    key = pl.col("subject").str.strip_prefix("sub-").alias("key")
    people = people.with_columns(key)
    columns = [name for name in frame_of([], Subjects).columns if name != "subject"]
    for number, table in enumerate(tables):
        of_table = table.with_columns(key).unique("key", keep="first").drop("subject")
        people = people.join(of_table, on="key", how="left", suffix=f"_{number}")
    # The join adds a suffix only from the second table on.
    sources = {
        name: [c for c in people.columns if c == name or c.startswith(f"{name}_")]
        for name in columns
    }
    types = frame_of([], Subjects).schema
    return people.select(
        "subject",
        *(
            (pl.coalesce(names) if names else pl.lit(None)).cast(types[name]).alias(name)
            for name, names in sources.items()
        ),
    )


def read_description(root: Path, problems: list[Problem]) -> dict[str, str]:
    """Read ``dataset_description.json`` at the root of a dataset.

    Parameters
    ----------
    root : Path
    problems : list of (where, what, remedy)
        A file that cannot be read is appended.

    Returns
    -------
    dict of str to str
        Those of `FIELDS` that are stated, each on one line; empty without the file.
    """
    path = root / DESCRIPTION
    if not path.is_file():
        return {}
    try:
        content = json.loads(read_small_text(path, root))
    except (ConsilienceError, ValueError, RecursionError) as error:
        what = one_line(f"not JSON: {str(error)[:150]}")
        problems.append((DESCRIPTION, what, "correct it; it is not used"))
        return {}
    fields = content if isinstance(content, dict) else {}
    texts = {name: _text(fields.get(name)) for name in FIELDS}
    return {name: text for name, text in texts.items() if text}


def _text(value: object) -> str:
    """Return a field on one line; empty for nested content and what states nothing."""
    if isinstance(value, list):
        return "; ".join(filter(None, map(_text, value)))[:MAX_FIELD]
    if not isinstance(value, str) or value.strip().lower() in NO_VALUES:
        return ""
    return one_line(" ".join(value.split()))[:MAX_FIELD]
