"""Errors that a user can act on: what is wrong, where, and what to do."""

from __future__ import annotations


class ConsilienceError(Exception):
    """A mistake in the input or the parameters, described in one line.

    Parameters
    ----------
    what : str
        The problem.
    where : str
        The file, channel, row or parameter concerned.
    remedy : str
        How to correct it.
    """

    def __init__(self, what: str, where: str, remedy: str = "") -> None:
        # Names of files and cells may hold codes that command a terminal.
        self.what, self.where, self.remedy = one_line(what), one_line(where), one_line(remedy)
        super().__init__(f"{self.where}: {self.what}" + (f" ({self.remedy})" if remedy else ""))

    def __reduce__(self) -> tuple[type[ConsilienceError], tuple[str, str, str]]:
        """Let the error pass from a worker process to its parent."""
        return type(self), (self.what, self.where, self.remedy)


class RecordingError(ConsilienceError):
    """One recording cannot be used: it is quarantined, and processing continues with the others."""

    @property
    def reason(self) -> str:
        """The problem and its remedy, for a table that names the recording in another column."""
        return self.what + (f" ({self.remedy})" if self.remedy else "")


def unreadable(error: Exception) -> str:
    """Describe an unexpected exception of a reader's library in at most 300 characters."""
    text = " ".join(str(error).split())
    return f"cannot be read: {type(error).__name__}: {text}"[:300]


def system_error(error: OSError | MemoryError) -> str:
    """Describe what the system refused, such as a file or memory, in one line."""
    if isinstance(error, MemoryError):
        return "not enough memory (set CONSILIENCE_WORKERS to a smaller number)"
    where = f"{error.filename}: " if error.filename else ""
    return one_line(f"{where}{error.strerror or error}")


def one_line(text: str) -> str:
    """Escape undecodable and control characters, so that a text can be printed and stored."""
    encodable = text.encode("utf-8", "backslashreplace").decode()
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in encodable
    )
