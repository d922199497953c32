"""Keyed pseudonyms of people and of what bears their names, for results that leave the machine.

A pseudonym is the HMAC-SHA-256 of a name under a key of the study (RFC 2104), shortened to 40
bits. Without the key the name cannot be found by trying likely ones; with it, the same person has
the same pseudonym in every output.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import b32encode
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from consilience.core.errors import ConsilienceError
from consilience.core.files import write_bytes

if TYPE_CHECKING:
    import polars as pl

KEY_FILE = "pseudonyms.key"  # in the study's folder; never commit or send it
KEY_BYTES = 32
CHARACTERS = 8  # of a pseudonym: 40 bits, a collision in a million for a thousand names
# Annotators whose name is a role, not a person's.
ROLES = ("self", "intended", "condition", "table")
LEAST_DIGITS = 3  # of a number that is replaced in running text; a shorter one may be an amount
# Files whose names belong to a layout, not to a person.
TABLES = (
    *("recordings.csv", "trials.csv", "pulses.csv", "annotations.csv", "classes.txt"),
    *("participants.tsv", "dataset_description.json", "params.yaml"),
)
WORD = re.compile(r"[^\s'\"(),;:<>|]+")
FILE = re.compile(r".*(/|\\|\.[A-Za-z][A-Za-z0-9]{1,4}$)")


def load_key(folder: Path) -> bytes:
    """Return the key of a study; create it at random the first time.

    Parameters
    ----------
    folder : Path
        Of the study.

    Raises
    ------
    ConsilienceError
        If the file is not a key.
    """
    path = folder / KEY_FILE
    if not path.exists():
        write_bytes(path, (secrets.token_hex(KEY_BYTES) + "\n").encode())
        path.chmod(0o600)
    try:
        key = bytes.fromhex(path.read_text("ascii").strip())
    except (ValueError, OSError):
        key = b""
    if len(key) < KEY_BYTES:
        raise ConsilienceError(
            f"not a key of {2 * KEY_BYTES} hexadecimal digits",
            str(path),
            "restore it; without the old key the same people get other pseudonyms",
        )
    return key


class Names:
    """Names as an output shows them: as they are, or as pseudonyms.

    Parameters
    ----------
    key : bytes or None
        None leaves every name as it is.
    recordings : iterable of (recording, session, subject)
        What the catalog lists.
    """

    def __init__(
        self, key: bytes | None = None, recordings: Iterable[tuple[str, str, str]] = ()
    ) -> None:
        self.key = key
        self._known: dict[str, str] = {}
        listed = list(recordings) if key is not None else []
        for recording, session, _ in listed:
            self._known[recording] = self.session(session) + recording.removeprefix(session)
        # A name of both a person and a session stands for the person.
        self._known |= {session: self.session(session) for _, session, _ in listed}
        self._known |= {subject: self.subject(subject) for _, _, subject in listed}

    @property
    def are_pseudonyms(self) -> bool:
        """Whether names are replaced."""
        return self.key is not None

    def _code(self, kind: str, name: str) -> str:
        if self.key is None:
            return name
        digest = hmac.new(self.key, f"{kind}\x1f{name}".encode(), hashlib.sha256).digest()
        return f"{kind}-{b32encode(digest).decode().lower()[:CHARACTERS]}"

    def subject(self, name: str) -> str:
        """Return the name of a person."""
        return self._code("person", name)

    def session(self, name: str) -> str:
        """Return the name of a session."""
        return self._code("session", name)

    def recording(self, name: str) -> str:
        """Return the name of a recording, or of a session or person that stands for recordings."""
        return self._known.get(name) or self._code("recording", name)

    def annotator(self, name: str) -> str:
        """Return the name of an annotator; a role, such as ``self``, is kept."""
        return name if name in ROLES else self._code("rater", name)

    def window(self, name: str) -> str:
        """Return the name of a window, which begins with that of its session."""
        return self._code("window", name)

    def file(self, path: str) -> str:
        """Return the path of a file: a pseudonym with the same ending."""
        if self.key is None:
            return path
        return self._code("file", path) + PurePosixPath(path).suffix.lower()

    def text(self, text: str) -> str:
        """Return running text in which known names and every path are replaced."""
        return text if self.key is None else WORD.sub(self._replaced, text)

    def _replaced(self, match: re.Match[str]) -> str:
        word = match[0]
        bare = word.rstrip(".!?")
        end = word[len(bare) :]
        if bare in self._known and (len(bare) >= LEAST_DIGITS or not bare.isdigit()):
            return self._known[bare] + end
        if FILE.fullmatch(bare) and bare not in TABLES and not bare.startswith("docs/"):
            return self.file(bare) + end
        return word

    @property
    def by_column(self) -> Mapping[str, Callable[[str], str]]:
        """The function for each column of tables that holds names."""
        return {
            "subject": self.subject,
            "session": self.session,
            "recording": self.recording,
            "annotator": self.annotator,
            "window": self.window,
            "path": self.file,
            "file": self.file,
            **dict.fromkeys(("where", "what", "reason", "remedy"), self.text),
        }

    def mapped(self, table: pl.DataFrame) -> pl.DataFrame:
        """Return a table with the names in its columns replaced; see `by_column`."""
        if self.key is None:
            return table
        import polars  # slow to import

        columns = []
        for name, function in self.by_column.items():
            if name in table.columns:
                values = table[name].drop_nulls().unique().to_list()
                replaced = {value: function(value) for value in values}
                column = polars.col(name)
                columns.append(
                    column.replace_strict(replaced, default=None, return_dtype=polars.String)
                )
        return table.with_columns(columns)
