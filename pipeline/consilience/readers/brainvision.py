"""Headers of BrainVision whose files were renamed: companions are found by the header's own name.

A header names the files of its samples and markers. Whoever renames the three files usually leaves
the names inside as they were.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from consilience.core.errors import RecordingError
from consilience.core.files import cached_per_file

COMPANIONS = {"DataFile": ".eeg", "MarkerFile": ".vmrk"}
MAX_BYTES = 2**24  # of a header


@cached_per_file(2)
def header_text(path: Path) -> str:
    """Return the text of a header or a marker file, UTF-8 or Latin-1."""
    content = path.read_bytes()[:MAX_BYTES]
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def companion(path: Path, key: str) -> Path | None:
    """Return the file that an entry of a header refers to.

    Parameters
    ----------
    path : Path
        The header.
    key : str
        ``"DataFile"`` or ``"MarkerFile"``.

    Returns
    -------
    Path or None
        The file that is named, or else the one with the header's own name; None without either.
        A name in another folder stands for a file of that name beside the header only.
    """
    name = _stated_name(path, key) or f"{path.stem}{COMPANIONS[key]}"
    suffix = Path(name).suffix or COMPANIONS[key]
    base = re.split(r"[/\\]", name)[-1] or path.name
    candidates = [path.with_name(base)]
    if base == name:
        candidates.append(path.with_suffix(suffix))
    return next((file for file in candidates if file.is_file()), None)


def renamed(path: Path) -> list[str]:
    """Return a line on each companion that is read instead of the one that the header names."""
    lines = []
    for key in COMPANIONS:
        name, file = _stated_name(path, key), companion(path, key)
        if name and file and Path(name).name != file.name:
            lines.append(f"the header names '{name}', which does not exist: {file.name} is read")
    return lines


@contextmanager
def readable_header(path: Path) -> Iterator[Path]:
    """Yield a header whose companions exist: the file itself, or a corrected copy.

    Raises
    ------
    RecordingError
        If the samples do not exist beside the header.
    """
    name = _stated_name(path, "DataFile")
    if name and companion(path, "DataFile") is None:
        if re.search(r"[/\\]", name):
            raise RecordingError(
                f"the header refers to samples in another folder: '{name}'",
                str(path),
                "put them beside the header, and write their name alone",
            )
        if (path.parent / name).exists():
            raise RecordingError(
                f"the file of its samples, '{name}', is a pipe or device, not a file",
                str(path),
                "replace it by the recording",
            )
        raise RecordingError(
            f"the file of its samples, '{name}', does not exist",
            str(path),
            f"put it beside the header; for a dataset of git-annex, 'datalad get {path.stem}.eeg'",
        )
    if not renamed(path):
        yield path
        return
    text = header_text(path)
    for key in COMPANIONS:
        entry, file = _entry(text, key), companion(path, key)
        if file is not None and entry is not None:
            text = text[: entry.start(1)] + str(file.absolute()) + text[entry.end(1) :]
    with TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        # UTF-8 is what a header states that names its encoding; the others are ASCII as a rule.
        copy.write_text(text, "utf-8", newline="")
        yield copy


def _stated_name(path: Path, key: str) -> str | None:
    """Return the file name that an entry of a header states; ``$b`` stands for the header's own."""
    entry = _entry(header_text(path), key)
    return entry[1].replace("$b", path.stem) if entry else None


def _entry(text: str, key: str) -> re.Match[str] | None:
    return re.search(rf"^{key}[ \t]*=[ \t]*(\S.*?)[ \t\r]*$", text, re.MULTILINE)
