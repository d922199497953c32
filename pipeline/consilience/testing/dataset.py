"""Checks of a dataset; names and messages state what each check requires."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any
from unittest.mock import patch

import polars as pl
from pandera.errors import SchemaError, SchemaErrors

from consilience import params
from consilience.core import registry
from consilience.core.errors import ConsilienceError, one_line
from consilience.datasets.base import Dataset, Entry, Listing, bind_to_root
from consilience.ingest.catalog import build_catalog
from consilience.ingest.entries import FILE_NAME
from consilience.schema.constants import CLOCKS
from consilience.schema.tables import Annotations, Pulses, Table, Trials
from consilience.testing.pickles import no_pickles, traps
from consilience.testing.rules import ContractError, only, require

MAX_COPIED_BYTES = 200_000_000  # a larger dataset is listed, but not damaged
MAX_DAMAGED_FILES = 12
GARBAGE = (b"", b"\0" * 512, b'\xff\xfe\x00,;\n"' * 40, b"a,b,c\n1,2\n", b"{}")


@dataclass(frozen=True)
class DatasetCase:
    """A dataset with a folder to list.

    Attributes
    ----------
    dataset : Dataset
    root : Path
        A good, small folder of its layout; only read.
    """

    dataset: Dataset
    root: Path
    _folder: Any = field(default_factory=tempfile.TemporaryDirectory, repr=False)

    @property
    def folder(self) -> Path:
        """A folder for damaged copies, gone with the case."""
        return Path(self._folder.name)

    @cached_property
    def bound(self) -> Dataset:
        """The dataset bound to `root`."""
        return bind_to_root(self.dataset, self.root)

    @cached_property
    def listing(self) -> Listing:
        """The listing of `root`."""
        with only(ConsilienceError, "listing a good folder"):
            return self.bound.list(self.root)

    def copy(self, name: str) -> Path | None:
        """Return a new copy of `root`, or None if it is too large for one."""
        files = [path for path in self.root.rglob("*") if path.is_file()]
        if sum(path.stat().st_size for path in files) > MAX_COPIED_BYTES:
            return None
        return Path(shutil.copytree(self.root, self.folder / name))


def check_description(case: DatasetCase) -> None:
    """Check that name, classes, clock and preset are what the parameters need."""
    dataset = case.bound
    require(
        re.fullmatch(r"[a-z][a-z0-9_]*", dataset.name),
        f"the name '{dataset.name}' is not a lower-case identifier",
        "use a-z, 0-9 and _",
    )
    require(
        isinstance(dataset.classes, tuple)
        and len(set(dataset.classes)) == len(dataset.classes) > 1,
        f"classes is {dataset.classes!r}",
        "name two or more emotion classes, each once",
    )
    require(dataset.clock in CLOCKS, f"clock is '{dataset.clock}'", f"one of {', '.join(CLOCKS)}")
    for name in dataset.modalities:
        require(
            registry.exists("modalities", name),
            f"unknown modality '{name}'",
            f"known: {', '.join(registry.listed('modalities'))}",
        )
    unknown = set(dataset.preset) - set(params.Params.model_fields)
    require(
        not unknown,
        f"preset names {', '.join(sorted(unknown))}",
        "use sections of params.yaml",
    )


def check_tables(case: DatasetCase) -> None:
    """Check that trials, pulses and annotations keep their schemas, sessions and classes."""
    listing = case.listing
    for table, schema in (
        (listing.trials, Trials),
        (listing.pulses, Pulses),
        (listing.annotations, Annotations),
    ):
        _require_schema(table, schema)
    for name, table in (("trials", listing.trials), ("annotations", listing.annotations)):
        require(
            (table["end_s"] > table["start_s"]).all(),
            f"{name} end before they start",
            "report such rows in `problems` and leave them out",
        )
    unknown = set(listing.annotations["label"].drop_nulls()) - set(case.bound.classes)
    require(
        not unknown,
        f"labels {sorted(unknown)} are not classes",
        "map them to `classes`, or report the rows in `problems`",
    )
    sessions = {entry.session for entry in listing.entries}
    require(
        listing.annotations.is_empty() or sessions & set(listing.annotations["session"]),
        "no annotation belongs to a session that has recordings",
        "use the same session names in entries and tables",
    )
    for problem in listing.problems:
        require(
            len(problem) == 3 and all(isinstance(text, str) for text in problem),
            f"a problem is {problem!r}",
            "give three texts: where, what, remedy",
        )


def check_ids(case: DatasetCase) -> None:
    """Check that ids are unique and safe as file names, and sessions one subject's each."""
    entries = case.listing.entries
    require(entries, "nothing is listed", "list the recordings, or raise ConsilienceError")
    subjects: dict[str, str] = {}
    ids = set()
    for entry in entries:
        for what, text in (("session", entry.session), ("subject", entry.subject)):
            require(
                FILE_NAME.fullmatch(text) and text == one_line(text),
                f"the {what} {text!r} cannot be part of a file name",
                "build it without slashes and control characters, not starting with a dot",
            )
        identity = (entry.session, entry.modality)
        require(
            identity not in ids,
            f"{entry.session}_{entry.modality} has a duplicate entry",
            "make sessions unique over subjects; report a second recording in `problems`",
        )
        ids.add(identity)
        require(
            subjects.setdefault(entry.session, entry.subject) == entry.subject,
            f"session {entry.session} has two subjects",
            "make sessions unique over subjects, as in sub-01_ses-1",
        )
        require(
            entry.clock is None or entry.clock in CLOCKS,
            f"clock of {entry.path} is {entry.clock!r}",
            f"None, or one of {', '.join(CLOCKS)}",
        )
        require(
            all(name and "," not in name and name == one_line(name) for name in entry.bad_channels),
            f"bad_channels of {entry.path} are {entry.bad_channels!r}",
            "name each as the modality's reader does, without commas",
        )


def check_paths(case: DatasetCase) -> None:
    """Check that every entry is an existing file of its modality, below the root."""
    reported = " ".join(where for where, _, _ in case.listing.problems)
    root = case.root.resolve()
    for entry in case.listing.entries:
        _require_inside(entry, case.root)
        path = case.root / entry.path
        require(
            path.is_file() or entry.path in reported,
            f"'{entry.path}' is listed and does not exist",
            "list files that are there, or name it in `problems`",
        )
        require(
            path.resolve().is_relative_to(root),
            f"'{entry.path}' leads out of the dataset",
            "leave it out and name it in `problems`",
        )
        suffixes = registry.get("modalities", entry.modality).suffixes
        require(
            path.suffix.lower() in suffixes,
            f"'{entry.path}' is not a file of modality '{entry.modality}'",
            f"it reads {', '.join(suffixes)}",
        )


def check_determinism(case: DatasetCase) -> None:
    """Check that chance and the order in which folders are read do not matter."""
    for order, reverse in (("again", False), ("with folders read in another order", True)):
        with _folders_in_order(reverse):
            listing = case.bound.list(case.root)
        require(
            _comparable(listing) == _comparable(case.listing),
            f"listing {order} gives another result",
            "sort what os.listdir, glob and sets return",
        )


def check_relocation(case: DatasetCase) -> None:
    """Check that the listing is the same wherever the folder lies, and leaves it as it is."""
    moved = case.copy("moved")
    if moved is None:
        return
    before = _contents(moved)
    listing = bind_to_root(case.dataset, moved).list(moved)
    require(_contents(moved) == before, "list() changed the folder", "only read it")
    require(
        sorted(map(str, listing.entries)) == sorted(map(str, case.listing.entries)),
        "entries differ when the folder is moved",
        "give paths relative to the root",
    )


def check_empty_folder(case: DatasetCase) -> None:
    """Check that a folder without the dataset is refused in one line."""
    empty = case.folder / "empty"
    empty.mkdir()
    try:
        with only(ConsilienceError, "an empty folder"):
            entries = bind_to_root(case.dataset, empty).list(empty).entries
    except ConsilienceError as error:
        require("\n" not in str(error), "the error has several lines", "use a single line")
        return
    require(not entries, "an empty folder has entries", "list what is there")


def check_damaged_files(case: DatasetCase) -> None:
    """Check that a file that is empty, cut or garbage leads to ConsilienceError at most."""
    root = case.copy("damaged")
    if root is None:
        return
    for path in _tables_first(case, root):
        content = path.read_bytes()
        halves = (content[: len(content) // 2], content[: -len(content) // 3])
        for damaged in (*GARBAGE, *halves):
            path.write_bytes(damaged)
            name = path.relative_to(root).as_posix()
            _listing_or_refusal(case, root, f"{name} being {damaged[:12]!r}…")
        path.unlink()
        _listing_or_refusal(case, root, f"{path.name} not being there")
        path.write_bytes(content)


def check_odd_names(case: DatasetCase) -> None:
    """Check that stray files, odd names, broken and circular links change nothing."""
    root = case.copy("odd")
    if root is None:
        return
    folder = (root / case.listing.entries[0].path).parent
    (folder / "a b ü 測.txt").touch()
    (folder / "new\nline.txt").touch()
    (folder / ".hidden").touch()
    (folder / "broken").symlink_to(folder / "nowhere")
    (folder / "circle").symlink_to(root, target_is_directory=True)
    listing = _listing_or_refusal(case, root, "stray files and links beside the recordings")
    require(
        listing is not None and set(listing.entries) == set(case.listing.entries),
        "stray files and links change which recordings are listed",
        "take what the layout names, and skip links to folders",
    )


def check_links_out(case: DatasetCase) -> None:
    """Check that a recording that is a link out of the root is never used."""
    root = case.copy("links")
    if root is None:
        return
    entry = case.listing.entries[0]
    outside = case.folder / f"outside{Path(entry.path).suffix}"
    shutil.copyfile(root / entry.path, outside)
    (root / entry.path).unlink()
    (root / entry.path).symlink_to(outside)
    listing = _listing_or_refusal(case, root, "a recording that is a link out of the root")
    others = {e.modality for e in listing.entries} if listing else set()
    if entry.modality not in others:
        return
    catalog = build_catalog(case.dataset, root, [entry.modality])
    used = catalog.recordings[entry.modality].filter(pl.col("status") == "ok")["path"]
    require(
        entry.path not in set(used),
        f"'{entry.path}', a link out of the root, is used",
        "give the path as it is below the root, unresolved, or leave it out",
    )


def check_no_pickle(case: DatasetCase) -> None:
    """Check that listing loads no pickle, and that one under a false name is not run."""
    with no_pickles(f"the dataset '{case.dataset.name}'"):
        case.bound.list(case.root)
    root, sprung = case.copy("pickles"), case.folder / "sprung"
    if root is None:
        return
    for path in _tables_first(case, root):
        content = path.read_bytes()
        for kind, trap in traps(sprung).items():
            path.write_bytes(trap)
            with no_pickles(f"the dataset '{case.dataset.name}'"):
                _listing_or_refusal(case, root, f"{path.name} being {kind}")
            require(
                not sprung.exists(),
                f"list() ran the code in {kind} called {path.name}",
                "read tables with a parser",
            )
        path.write_bytes(content)


def check_catalog(case: DatasetCase) -> None:
    """Check that the catalog finds a usable recording of every modality listed."""
    names = sorted({entry.modality for entry in case.listing.entries})
    catalog = build_catalog(case.dataset, case.root, names)
    for name, table in catalog.recordings.items():
        reasons = table["reason"].drop_nulls().to_list()
        require(
            (table["status"] == "ok").any(),
            f"no recording of '{name}' is usable: {reasons[:1]}",
            "give the example folder readable recordings, or correct the entries",
        )


DATASET_CHECKS: tuple[Callable[[DatasetCase], None], ...] = (
    check_description,
    check_tables,
    check_ids,
    check_paths,
    check_determinism,
    check_relocation,
    check_empty_folder,
    check_damaged_files,
    check_odd_names,
    check_links_out,
    check_no_pickle,
    check_catalog,
)


def check_dataset(dataset: Dataset, root: Path) -> None:
    """Run every check of a dataset on a good, small folder of its layout.

    Raises
    ------
    ContractError
        At the first check that fails, saying what to do.
    """
    case = DatasetCase(dataset, root)
    for check in DATASET_CHECKS:
        check(case)


def _require_schema(table: pl.DataFrame, schema: type[Table]) -> None:
    try:
        schema.validate(table, lazy=True)
    except (SchemaError, SchemaErrors) as error:
        first = error.failure_cases.row(0, named=True)
        raise ContractError(
            f"the table {schema.__name__} fails {first['check']} with {first['failure_case']!r}; "
            f"build it with consilience.schema.tables.frame_of(rows, {schema.__name__})"
        ) from None


def _require_inside(entry: Entry, root: Path) -> None:
    path = PurePosixPath(entry.path)
    require(
        not path.is_absolute() and ".." not in path.parts and "\\" not in entry.path,
        f"the path '{entry.path}' is not one below the root",
        "use path.relative_to(root).as_posix(), and refuse '..' in tables",
    )


def _listing_or_refusal(case: DatasetCase, root: Path, how: str) -> Listing | None:
    try:
        with only(ConsilienceError, f"listing with {how}"):
            listing = bind_to_root(case.dataset, root).list(root)
    except ConsilienceError as error:
        require(
            "\n" not in str(error), f"the error about {how} has several lines", "use a single line"
        )
        return None
    for entry in listing.entries:
        _require_inside(entry, root)
    return listing


def _tables_first(case: DatasetCase, root: Path) -> list[Path]:
    """Return some files to damage: those that are not recordings, and the first recording."""
    recordings = [entry.path for entry in case.listing.entries]
    others = sorted(
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and path.relative_to(root).as_posix() not in recordings
    )
    return [root / name for name in [*others[: MAX_DAMAGED_FILES - 1], recordings[0]]]


@contextmanager
def _folders_in_order(reverse: bool) -> Iterator[None]:
    """Let the system's functions return names sorted, or sorted backwards."""
    scandir, listdir = os.scandir, os.listdir

    class Sorted:
        def __init__(self, path: Any = ".") -> None:
            with scandir(path) as entries:
                self.entries = iter(sorted(entries, key=lambda e: e.name, reverse=reverse))

        def __enter__(self) -> Any:
            return self.entries

        def __exit__(self, *_: object) -> None:
            pass

        def __iter__(self) -> Any:
            return self.entries

        def __next__(self) -> Any:
            return next(self.entries)

        def close(self) -> None:
            pass

    def sorted_names(path: Any = ".") -> list[Any]:
        return sorted(listdir(path), reverse=reverse)

    with patch("os.scandir", Sorted), patch("os.listdir", sorted_names):
        yield


def _comparable(listing: Listing) -> tuple[object, ...]:
    tables = (listing.trials, listing.pulses, listing.annotations)
    return (
        listing.entries,
        *(table.to_dicts() for table in tables),
        listing.problems,
    )


def _contents(root: Path) -> dict[str, tuple[int, int]]:
    return {
        path.relative_to(root).as_posix(): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in root.rglob("*")
        if path.is_file()
    }
