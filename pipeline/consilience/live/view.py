"""Answers as lines, as a table in a terminal, or as JSON."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from consilience.core.files import json_ready
from consilience.core.wording import counted
from consilience.live.engine import Answer, Engine

if TYPE_CHECKING:
    from rich.table import Table

LINES = 12  # latest windows in the table
BAR = 20  # characters of a full bar


class View(Protocol):
    """Receives answers and notes."""

    def note(self, line: str) -> None:
        """Show a line about the streams."""

    def answer(self, answer: Answer, engine: Engine) -> None:
        """Show the prediction of a window."""

    def close(self) -> None:
        """End the view."""


class JsonLines:
    """A JSON object per answer on one stream of text, notes on another."""

    def __init__(self, write: Callable[[str], None], note: Callable[[str], None]) -> None:
        self._write, self.note = write, note

    def answer(self, answer: Answer, engine: Engine) -> None:
        """Write the answer as one line."""
        content = {
            **answer.row,
            "number": answer.number,
            "revised": answer.revised,
            "latency_ms": round(1e3 * answer.latency_s, 3),
            "sensors": [name for name, has in answer.available.items() if has],
            "notes": answer.notes,
        }
        self._write(json.dumps(json_ready(content)))

    def close(self) -> None:
        """Do nothing."""


class Lines:
    """A line per answer, for output other than a terminal."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self.note = self._write = write

    def answer(self, answer: Answer, engine: Engine) -> None:
        """Write the answer as one line."""
        self._write(described(answer))

    def close(self) -> None:
        """Do nothing."""


class Terminal:
    """A table of the latest windows, and the state of the streams, redrawn in place."""

    def __init__(self) -> None:
        from rich.live import Live  # slow to import

        self._answers: deque[Answer] = deque(maxlen=LINES)
        self._live = Live(auto_refresh=False, transient=False)
        self._live.start()

    def note(self, line: str) -> None:
        """Print a line above the table."""
        self._live.console.print(line, markup=False, highlight=False)

    def answer(self, answer: Answer, engine: Engine) -> None:
        """Redraw the table."""
        if answer.revised:  # in the place of the first answer
            kept = [answer if old.number == answer.number else old for old in self._answers]
            self._answers = deque(kept, maxlen=LINES)
        else:
            self._answers.append(answer)
        self._live.update(self._table(engine), refresh=True)

    def close(self) -> None:
        """Leave the last table on the screen."""
        self._live.stop()

    def _table(self, engine: Engine) -> Table:
        from rich.table import Table

        stats = engine.stats
        table = Table(
            title=state_of(engine),
            caption=f"{counted(stats.answered, 'window')}, answer after "
            f"{stats.latency_ms(50):.0f} ms, 99 % within {stats.latency_ms(99):.0f} ms",
        )
        for head in ("window", "class", "confidence", "vacuity", "verdict", "sensors"):
            table.add_column(head)
        for answer in self._answers:
            table.add_row(*_cells(answer))
        return table


def view_of(as_json: bool) -> View:
    """Return the view for JSON, for a terminal, or for any other output."""

    def line(text: str) -> None:
        print(text, flush=True)

    if as_json:
        return JsonLines(line, lambda text: print(text, file=sys.stderr, flush=True))
    return Terminal() if sys.stdout.isatty() else Lines(line)


def described(answer: Answer) -> str:
    """Return an answer as one line of text."""
    span, name, confidence, vacuity, verdict, sensors = _cells(answer)
    revised = " (revised)" if answer.revised else ""
    notes = "".join(f"; {name}: {note}" for name, note in answer.notes.items())
    return (
        f"{span}: {name} {confidence}, vacuity {vacuity}, {verdict}, from {sensors}, "
        f"after {1e3 * answer.latency_s:.0f} ms{revised}{notes}"
    )


def state_of(engine: Engine) -> str:
    """Return a line on the streams."""
    states = [f"{kind}: {_state(engine, kind)}" for kind in engine.kinds]
    return ", ".join(states)


def _state(engine: Engine, kind: str) -> str:
    stream = engine.streams.get(kind)
    if stream is None:
        return "not found"
    return stream.header.name if stream.alive else "lost"


def _cells(answer: Answer) -> tuple[str, ...]:
    row: dict[str, Any] = answer.row
    confidence = row["confidence"]
    filled = round(BAR * confidence) if confidence is not None else 0
    return (
        f"{row['start_s']:.1f} to {row['end_s']:.1f} s",
        row["predicted"] or "–",
        "–" if confidence is None else f"{confidence:.2f} {'█' * filled}".strip(),
        f"{row['vacuity']:.2f}",
        row["verdict"] or "–",
        ", ".join(name for name, has in answer.available.items() if has) or "none",
    )
