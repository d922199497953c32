"""The tables between stages: one schema each, checked where written and where read."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import pandera.polars as pa
import polars as pl
from pandera.errors import SchemaError, SchemaErrors

from consilience.core.errors import ConsilienceError
from consilience.core.files import atomic_path
from consilience.schema.severities import SEVERITIES as SEVERITIES

STATUSES = ["ok", "quarantined", "missing"]
CLOCKS = ["shared", "anchors"]
ALIGNMENT_STATUSES = ["aligned", "coarse", "unaligned"]
ROLES = ["train", "validation", "test"]
AFFECT = ("valence", "arousal")
CLEAN = "clean"  # variant of a recording or a window without corruption


class Table(pa.DataFrameModel):
    """Every table: exactly the columns named, of exactly the types named."""

    class Config:
        """Pandera's settings."""

        strict = True
        ordered = True


class Recordings(Table):
    """Catalog of one modality: a row per recording. Times are on the recording's own clock."""

    recording: str = pa.Field(unique=True)
    session: str
    subject: str
    modality: str
    path: str  # relative to the dataset's root
    item: str = pa.Field(nullable=True)  # key of the recording inside a file that holds several
    clock: str = pa.Field(isin=CLOCKS)  # whether its own time is the session's
    bad_channels: str = pa.Field(nullable=True)  # as the dataset says; a comma between names
    start_time: str = pa.Field(nullable=True)  # ISO 8601, as the header has it
    rate_hz: float = pa.Field(nullable=True, gt=0)
    n_channels: int = pa.Field(nullable=True, ge=1)
    duration_s: float = pa.Field(nullable=True, ge=0)
    content_hash: str = pa.Field(nullable=True)
    status: str = pa.Field(isin=STATUSES)
    reason: str = pa.Field(nullable=True)


class Trials(Table):
    """Stretches of a session that windows may not leave, in seconds of the session clock."""

    session: str
    trial: str
    start_s: float
    end_s: float


class Pulses(Table):
    """Synchronisation pulses a session's master clock emitted, in its seconds."""

    session: str
    time_s: float


class Annotations(Table):
    """What annotators said, long: a class (``label``) or a number (``value``) from when to when."""

    session: str
    annotator: str
    target: str = pa.Field(isin=["emotion", "valence", "arousal"])
    start_s: float
    end_s: float
    label: str = pa.Field(nullable=True)
    value: float = pa.Field(nullable=True)


class Problems(Table):
    """Everything wrong with the input: where, what, what to do."""

    where: str
    what: str
    remedy: str


class Ingested(Table):
    """Outcome of ingesting one modality: a row per catalogued recording."""

    recording: str = pa.Field(unique=True)
    session: str
    subject: str
    status: str = pa.Field(isin=STATUSES)
    reason: str = pa.Field(nullable=True)
    n_frames: int = pa.Field(ge=0)
    duration_s: float = pa.Field(nullable=True, ge=0)
    quality: float = pa.Field(nullable=True, ge=0, le=1)


class Quality(Table):
    """Quality measures of recordings, long; units stand in the measure's name."""

    recording: str
    measure: str
    value: float


class Alignment(Table):
    """How each recording's clock was found; offset and drift are its longest piece's."""

    recording: str = pa.Field(unique=True)
    session: str
    modality: str
    method: str
    n_anchors: int = pa.Field(ge=0)
    offset_s: float = pa.Field(nullable=True)
    drift_ppm: float = pa.Field(nullable=True)
    n_pieces: int = pa.Field(ge=0)
    start_s: float = pa.Field(nullable=True)  # of the session: what the clock tells the time of;
    end_s: float = pa.Field(nullable=True)  # null without a time axis
    residual_ms: float = pa.Field(nullable=True, ge=0)
    error_ms: float = pa.Field(nullable=True, ge=0)  # standard error where it is largest
    confidence: float = pa.Field(nullable=True, ge=0, le=1)  # of being within the tolerance
    status: str = pa.Field(isin=ALIGNMENT_STATUSES)
    reason: str = pa.Field(nullable=True)


class Pieces(Table):
    """Clocks: ``session_s = (1 + 1e-6 * drift_ppm) * native_s + offset_s`` within each piece."""

    recording: str
    from_native_s: float  # -inf: from the beginning
    until_native_s: float  # inf: to the end
    offset_s: float
    drift_ppm: float


class Anchors(Table):
    """What the clocks rest on: moments known in a recording's and in the session's time."""

    recording: str
    native_s: float
    session_s: float
    residual_ms: float


class Labels(Table):
    """Windows on the session clock with their soft labels; classes in the dataset's order."""

    window: str = pa.Field(unique=True)
    session: str
    subject: str
    trial: str
    start_s: float
    end_s: float
    class_probability: pl.List(pl.Float64) = pa.Field(nullable=True)  # type: ignore[valid-type]
    valence: float = pa.Field(nullable=True)
    arousal: float = pa.Field(nullable=True)
    agreement: float = pa.Field(nullable=True, ge=-1, le=1)
    n_annotators: int = pa.Field(ge=0)
    class_entropy: float = pa.Field(nullable=True, ge=0)  # of class_probability, bits
    valence_sd: float = pa.Field(nullable=True, ge=0)  # between annotators
    arousal_sd: float = pa.Field(nullable=True, ge=0)
    vote_share: pl.List(pl.Float64) = pa.Field(nullable=True)  # type: ignore[valid-type]  # observers
    contradicted: bool = pa.Field(nullable=True)  # by the observers
    self_emotion: str = pa.Field(nullable=True)
    self_valence: float = pa.Field(nullable=True)
    self_arousal: float = pa.Field(nullable=True)


# Windows with something to learn from.
LABELLED = pl.any_horizontal(pl.col("class_probability", "valence", "arousal").is_not_null())


class Annotators(Table):
    """What is found of each annotator, per target; see ``consilience.annotation``."""

    annotator: str
    target: str = pa.Field(isin=["emotion", "valence", "arousal"])
    n_windows: int = pa.Field(ge=0)
    reliability: float = pa.Field(nullable=True, ge=-1, le=1)
    bias: float = pa.Field(nullable=True)  # rates higher than the others by
    weight: float = pa.Field(nullable=True, ge=0, le=1)  # in the mean of all
    lag_s: float = pa.Field(nullable=True, ge=0)
    lag_sd_s: float = pa.Field(nullable=True, ge=0)
    lag_anchored: bool = pa.Field(
        nullable=True
    )  # borders of trials say when, not only who is later
    correlation: float = pa.Field(nullable=True)  # with the mean of the others, lags removed
    correlation_unshifted: float = pa.Field(nullable=True)  # and not
    trial_share: float = pa.Field(nullable=True)  # of variance between trials, lags removed
    trial_share_unshifted: float = pa.Field(nullable=True)  # and not


class Confusions(Table):
    """How likely each annotator names which class when another is the true one."""

    annotator: str
    actual: str
    named: str
    probability: float = pa.Field(ge=0, le=1)


class Splits(Table):
    """Role of every subject in every fold."""

    fold: int = pa.Field(ge=0)
    subject: str
    role: str = pa.Field(isin=ROLES)


class Scores(Table):
    """Evaluation, long: one metric of one method, fold and seed, pooled over a test subject."""

    method: str
    seed: int
    fold: int
    subject: str
    condition: str  # its kind: subset, a corruption, desync, conflict, missing, everything
    modalities: str  # available ones of a subset, or those it befalls, joined by "+"
    severity: int = pa.Field(ge=0, le=5)
    metric: str
    value: float = pa.Field(nullable=True)


AnyTable = TypeVar("AnyTable", bound=type[Table])


def write_table(path: Path, frame: pl.DataFrame, schema: type[Table]) -> None:
    """Check a table against its schema and write it as Parquet, atomically.

    Raises
    ------
    ConsilienceError
        If the table breaks its contract.
    """
    _check(frame, schema, path)
    with atomic_path(path) as aside:
        frame.write_parquet(aside)


def read_table(path: Path, schema: type[Table]) -> pl.DataFrame:
    """Read a Parquet table and check it against its schema.

    Raises
    ------
    ConsilienceError
        If the file is missing or the table breaks its contract.
    """
    if not path.is_file():
        raise ConsilienceError("the table is missing", str(path), "run 'dvc repro'")
    frame = pl.read_parquet(path)
    _check(frame, schema, path)
    return frame


def frame_of(rows: list[dict[str, object]], schema: type[Table]) -> pl.DataFrame:
    """Build a table of the schema's columns and types, also from no rows at all."""
    types = {name: column.dtype.type for name, column in schema.to_schema().columns.items()}
    return pl.DataFrame(rows, schema=types, orient="row")


def _check(frame: pl.DataFrame, schema: type[Table], path: Path) -> None:
    try:
        schema.validate(frame, lazy=True)
    except (SchemaError, SchemaErrors) as error:
        first = error.failure_cases.row(0, named=True)
        column = first.get("column") or first.get("failure_case")
        raise ConsilienceError(
            f"column {column} fails {first['check']} with {first['failure_case']!r}",
            f"{path} ({schema.__name__})",
            "the stage that wrote it is at fault",
        ) from None
