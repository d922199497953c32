"""Progress of a stage as a Prefect artifact, read from the lines that it prints."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from uuid import UUID

from prefect.artifacts import acreate_progress_artifact, aupdate_progress_artifact

UPDATE_S = 5.0
COUNT = re.compile(r"^(?P<title>.+): (?P<n_done>\d+) of (?P<n_items>\d+)$")  # of core.workers


def fraction_done(line: str) -> tuple[str, float] | None:
    """Return the title and the percentage that a line of progress states; None for other lines."""
    match = COUNT.match(line.strip())
    if match is None or not int(match["n_items"]):
        return None
    return match["title"], min(100.0, 100.0 * int(match["n_done"]) / int(match["n_items"]))


class StageProgress:
    """Logs the lines of a stage; from its first line of progress on, an artifact shows the last.

    Parameters
    ----------
    stage : str
    log : callable
        Called with every line.
    """

    def __init__(self, stage: str, log: Callable[[str], None]) -> None:
        self._stage, self._log = stage, log
        self._latest: tuple[str, float] | None = None
        self._artifact: UUID | None = None
        self._updating: asyncio.Task[None] | None = None

    async def __aenter__(self) -> StageProgress:
        self._updating = asyncio.ensure_future(self._update())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._updating is not None
        self._updating.cancel()
        with suppress(asyncio.CancelledError):
            await self._updating
        if kind is None and self._artifact is not None:
            await self._publish(self._latest or ("", 100.0))

    def report(self, line: str) -> None:
        """Log a line."""
        self._latest = fraction_done(line) or self._latest
        self._log(line)

    async def _update(self) -> None:
        published = None
        while True:
            await asyncio.sleep(UPDATE_S)
            if self._latest is not None and self._latest != published:
                published = self._latest
                await self._publish(published)

    async def _publish(self, latest: tuple[str, float]) -> None:
        title, percent = latest
        with suppress(Exception):  # an artifact that cannot be written must not end the stage
            if self._artifact is None:
                key = "progress-" + re.sub(r"[^a-z0-9]+", "-", self._stage.lower())
                self._artifact = await acreate_progress_artifact(percent, key, title)
            else:
                await aupdate_progress_artifact(self._artifact, percent, title)
