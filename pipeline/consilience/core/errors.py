"""Errors that a user can act on: what is wrong, where, and what to do."""

from __future__ import annotations


class ConsilienceError(Exception):
    """A mistake in the input or the parameters, told in one line.

    Parameters
    ----------
    what : str
        What is wrong.
    where : str
        File, channel, row or parameter it is wrong in.
    remedy : str
        What to do about it.
    """

    def __init__(self, what: str, where: str, remedy: str = "") -> None:
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__(f"{where}: {what}" + (f" ({remedy})" if remedy else ""))


class RecordingError(ConsilienceError):
    """One recording cannot be used: it is quarantined and the others go on."""

    @property
    def reason(self) -> str:
        """What is wrong and what to do, for a table that names the recording itself."""
        return self.what + (f" ({self.remedy})" if self.remedy else "")


def unreadable(error: Exception) -> str:
    """Return one line for a failure that the reader's library did not foresee."""
    text = " ".join(str(error).split())
    return f"cannot be read: {type(error).__name__}: {text}"[:300]


def one_line(text: str) -> str:
    """Return a text that can be printed and stored: undecodable and control characters escaped."""
    shown = text.encode("utf-8", "backslashreplace").decode()
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in shown
    )
