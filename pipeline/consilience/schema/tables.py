"""Schemas of the tables between stages, checked when a table is written and when it is read."""

from __future__ import annotations

import io
from pathlib import Path

import pandera.polars as pa
import polars as pl
from pandera.errors import SchemaError, SchemaErrors

from consilience.core.errors import ConsilienceError
from consilience.core.files import intact, write_bytes
from consilience.schema.constants import ALIGNMENT_STATUSES, CLOCKS, ROLES, STATUSES

FORMULA = r"^[=+\-@\t\r]"


class Table(pa.DataFrameModel):
    """Base class: a table has exactly the declared columns, in order, of the declared types."""

    class Config:
        """Settings of pandera."""

        strict = True
        ordered = True


class Recordings(Table):
    """Catalog of one modality: one row per recording. Times are native times."""

    recording: str = pa.Field(unique=True)
    session: str
    subject: str
    modality: str
    path: str  # relative to the dataset's root
    item: str = pa.Field(nullable=True)  # key of the recording inside a file that holds several
    clock: str = pa.Field(isin=CLOCKS)  # "shared" if native time is session time
    bad_channels: str = pa.Field(nullable=True)  # named by the dataset, comma-separated
    start_time: str = pa.Field(nullable=True)  # ISO 8601, from the header
    rate_hz: float = pa.Field(nullable=True, gt=0)
    n_channels: int = pa.Field(nullable=True, ge=1)
    duration_s: float = pa.Field(nullable=True, ge=0)
    content_hash: str = pa.Field(nullable=True)
    status: str = pa.Field(isin=STATUSES)
    reason: str = pa.Field(nullable=True)


class Trials(Table):
    """Trials of a session, in session time; a window lies within one trial by default."""

    session: str
    trial: str
    start_s: float
    end_s: float


class Pulses(Table):
    """Synchronisation pulses that were emitted, in session time."""

    session: str
    time_s: float


class Annotations(Table):
    """Statements of annotators, long: a class (``label``) or a number (``value``) for a stretch."""

    session: str
    annotator: str
    target: str = pa.Field(isin=["emotion", "valence", "arousal"])
    start_s: float
    end_s: float
    label: str = pa.Field(nullable=True)
    value: float = pa.Field(nullable=True)


class Subjects(Table):
    """People of the dataset as it describes them; null where it states nothing."""

    subject: str = pa.Field(unique=True)
    sex: str = pa.Field(nullable=True)
    age_years: float = pa.Field(nullable=True, ge=0)
    site: str = pa.Field(nullable=True)
    device: str = pa.Field(nullable=True)


class Problems(Table):
    """Problems of the input: place, description, remedy."""

    where: str
    what: str
    remedy: str


class Findings(Table):
    """Findings of the readers about usable recordings, such as losses or doubtful units."""

    recording: str
    path: str  # relative to the dataset's root
    what: str  # channel or place, and amount


class Ingested(Table):
    """Result of ingesting one modality: one row per catalogued recording."""

    recording: str = pa.Field(unique=True)
    session: str
    subject: str
    status: str = pa.Field(isin=STATUSES)
    reason: str = pa.Field(nullable=True)
    n_frames: int = pa.Field(ge=0)
    first_frame_s: float = pa.Field(nullable=True)  # on the recording's own clock
    last_frame_s: float = pa.Field(nullable=True)
    duration_s: float = pa.Field(nullable=True, ge=0)
    quality: float = pa.Field(nullable=True, ge=0, le=1)
    content_hash: str = pa.Field(nullable=True)  # of the file of feature frames


class Quality(Table):
    """Quality measures of recordings, long; the measure's name contains the unit."""

    recording: str
    measure: str
    value: float


class Levels(Table):
    """Level of the recordings behind the windows of a session, of sensors that measure it."""

    session: str
    modality: str
    level_db: float


class Alignment(Table):
    """Estimated clock of each recording; offset and drift are those of its longest piece."""

    recording: str = pa.Field(unique=True)
    session: str
    modality: str
    method: str
    n_anchors: int = pa.Field(ge=0)
    offset_s: float = pa.Field(nullable=True)
    drift_ppm: float = pa.Field(nullable=True)
    n_pieces: int = pa.Field(ge=0)
    # First and last session time at which the clock is valid; null without a time axis.
    start_s: float = pa.Field(nullable=True)
    end_s: float = pa.Field(nullable=True)
    residual_ms: float = pa.Field(nullable=True, ge=0)
    error_ms: float = pa.Field(nullable=True, ge=0)  # largest standard error
    confidence: float = pa.Field(
        nullable=True, ge=0, le=1
    )  # that the error is within the tolerance
    status: str = pa.Field(isin=ALIGNMENT_STATUSES)
    reason: str = pa.Field(nullable=True)


class Pieces(Table):
    """Pieces of clocks: ``session_s = (1 + 1e-6 * drift_ppm) * native_s + offset_s``."""

    recording: str
    from_native_s: float  # -inf: from the beginning
    until_native_s: float  # inf: to the end
    offset_s: float
    drift_ppm: float


class Anchors(Table):
    """Pairs of native and session time to which the clocks are fitted."""

    recording: str
    native_s: float
    session_s: float
    residual_ms: float


class Labels(Table):
    """Windows in session time with their soft labels; classes in the dataset's order."""

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
    class_entropy: float = pa.Field(nullable=True, ge=0)  # of class_probability, in bits
    valence_sd: float = pa.Field(nullable=True, ge=0)  # between annotators
    arousal_sd: float = pa.Field(nullable=True, ge=0)
    vote_share: pl.List(pl.Float64) = pa.Field(nullable=True)  # type: ignore[valid-type]
    contradicted: bool = pa.Field(nullable=True)  # the observers contradict the label
    self_emotion: str = pa.Field(nullable=True)
    self_valence: float = pa.Field(nullable=True)
    self_arousal: float = pa.Field(nullable=True)


# Expression: windows with at least one label.
LABELLED = pl.any_horizontal(pl.col("class_probability", "valence", "arousal").is_not_null())


class Annotators(Table):
    """Estimated properties of each annotator, by target; see ``consilience.annotation``."""

    annotator: str
    target: str = pa.Field(isin=["emotion", "valence", "arousal"])
    n_windows: int = pa.Field(ge=0)
    reliability: float = pa.Field(nullable=True, ge=-1, le=1)
    bias: float = pa.Field(nullable=True)  # mean excess over the other annotators
    weight: float = pa.Field(nullable=True, ge=0, le=1)  # in the mean of all
    lag_s: float = pa.Field(nullable=True, ge=0)
    lag_sd_s: float = pa.Field(nullable=True, ge=0)
    lag_anchored: bool = pa.Field(nullable=True)  # trial borders determine the absolute lag
    # Correlation with the mean of the others, and share of variance between trials, with and
    # without removal of the lags.
    correlation: float = pa.Field(nullable=True)
    correlation_unshifted: float = pa.Field(nullable=True)
    trial_share: float = pa.Field(nullable=True)
    trial_share_unshifted: float = pa.Field(nullable=True)


class Confusions(Table):
    """Probability that an annotator names a class (``named``), given the true one (``actual``)."""

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


class RecordingCoherence(Table):
    """Agreement of each sensor of a session with the others, by unseen people's predictions."""

    session: str
    subject: str
    sensor: str
    windows: int = pa.Field(ge=1)  # in which another sensor is available too
    llr: float  # log likelihood ratio of agreement with the others, nats, summed over the windows
    probability: float = pa.Field(ge=0, le=1)  # that this sensor is the mismatched one
    named: bool  # more probable than all else together
    shift_s: float = pa.Field(nullable=True)  # that resolves a contradiction; above 0: sensor late
    shift_gain: float = pa.Field(nullable=True)  # of the LLR by this shift, nats


class SensorPredictions(Table):
    """Prediction for a window by one sensor alone, of networks that held its person out."""

    window: str
    sensor: str
    probability: pl.List(pl.Float64)  # type: ignore[valid-type]  # by class, calibrated


class Deviations(Table):
    """Differences of the training's recordings from those of its other people."""

    recording: str  # session, or subject of sessions of a single window
    subject: str
    sensor: str
    windows: int = pa.Field(ge=1)
    deviation: float = pa.Field(nullable=True)  # standard deviations


class PlacedWindows(Table):
    """Windows, each with its place in a file."""

    window: str = pa.Field(unique=True)
    session: str
    subject: str
    trial: str
    start_s: float  # session time
    end_s: float
    file: str = pa.Field(nullable=True)  # to look at, relative to the dataset's root
    item: str = pa.Field(nullable=True)  # key of the recording inside the file
    file_s: float = pa.Field(nullable=True)  # where the window starts in it
    files: str  # place in every sensor's file


class Ranking(PlacedWindows):
    """Windows to annotate again, the most useful first."""

    rank: int = pa.Field(ge=1, unique=True)
    score: float = pa.Field(nullable=True)  # of the strategy; null where it only orders
    reason: str
    label: str = pa.Field(nullable=True)
    predicted: str
    distrust: float = pa.Field(nullable=True, ge=0, le=1)  # probability that the label is wrong


class DoubtfulLabels(PlacedWindows):
    """Labels that are probably wrong, the most doubtful first."""

    label: str
    predicted: str
    distrust: float = pa.Field(ge=0, le=1)
    confident_learning: bool  # whether confident learning lists it too
    reason: str


def write_table(path: Path, frame: pl.DataFrame, schema: type[Table]) -> None:
    """Check a table against its schema and write it as Parquet, atomically.

    Parameters
    ----------
    path : Path
    frame : polars.DataFrame
    schema : type of Table

    Raises
    ------
    ConsilienceError
        If the table violates its schema.
    """
    _check(frame, schema, path)
    write_parquet(path, frame)


def write_parquet(path: Path, frame: pl.DataFrame) -> None:
    """Write a table without a schema as Parquet, atomically."""
    buffer = io.BytesIO()  # on a full disk Polars raises an error of its own, not an OSError
    frame.write_parquet(buffer)
    write_bytes(path, buffer.getvalue())


def read_table(path: Path, schema: type[Table]) -> pl.DataFrame:
    """Read a Parquet table and check it against its schema.

    Raises
    ------
    ConsilienceError
        If the file is missing or the table violates its schema.
    """
    if not path.is_file():
        raise ConsilienceError("the table is missing", str(path), "run 'dvc repro'")
    frame = intact(path, lambda: pl.read_parquet(path))
    _check(frame, schema, path)
    return frame


def csv_text(frame: pl.DataFrame, float_precision: int | None = None) -> str:
    """Return a table as CSV whose texts no spreadsheet takes for formulas.

    A text that begins with a sign of a formula gets an apostrophe before it.
    """
    texts = pl.col(pl.String)
    safe = pl.when(texts.str.contains(FORMULA)).then("'" + texts).otherwise(texts)
    return frame.with_columns(safe.name.keep()).write_csv(float_precision=float_precision)


def frame_of(rows: list[dict[str, object]], schema: type[Table]) -> pl.DataFrame:
    """Build a table with the columns and types of a schema; `rows` may be empty."""
    types = {name: column.dtype.type for name, column in schema.to_schema().columns.items()}
    return pl.DataFrame(rows, schema=types, orient="row")


def _check(frame: pl.DataFrame, schema: type[Table], path: Path) -> None:
    """Raise a `ConsilienceError` that describes the first violation of the schema."""
    try:
        schema.validate(frame, lazy=True)
    except (SchemaError, SchemaErrors) as error:
        raise ConsilienceError(
            _violation(error.failure_cases.row(0, named=True)),
            f"{path} ({schema.__name__})",
            "repeat the stage that wrote it: 'dvc repro -f STAGE'",
        ) from None


def _violation(case: dict[str, object]) -> str:
    """Return one line on a failure case of pandera."""
    value = case["failure_case"]
    # Of a missing or unexpected column pandera gives the name as the value that fails.
    if case["check"] == "column_in_dataframe":
        return f"column {value} is missing"
    if case["check"] == "column_in_schema":
        return f"column {value} is unexpected"
    return f"column {case.get('column') or value} fails {case['check']} with {value!r}"
