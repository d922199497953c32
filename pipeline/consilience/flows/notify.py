"""Notification about a run, through a block of the Prefect server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.core import Block
from prefect.blocks.webhook import Webhook

from consilience.core.errors import one_line


async def notify(block: str, content: dict[str, Any], log: Callable[[str], None]) -> None:
    """Send the outcome of a run; a failure is logged and never fails the run.

    Parameters
    ----------
    block : str
        A block of the server, ``TYPE/NAME``: ``webhook/NAME`` receives the content as JSON, every
        other type a subject and lines of text.
    content : dict
        Outcome of the run; its entry ``"title"`` is the subject.
    log : callable
        Called with the line of a failure.
    """
    try:
        loaded: Any = await Block.aload(block)
        if isinstance(loaded, Webhook):
            response = await loaded.call(content)
            response.raise_for_status()
        elif isinstance(loaded, NotificationBlock):
            lines = "\n".join(f"{key}: {value}" for key, value in content.items())
            await loaded.notify(lines, subject=str(content["title"]))
        else:
            log(f"notify: '{block}' is not a webhook or another block of notifications")
    except Exception as error:  # of the server, of the network, or of the block's own library
        log(f"notify: '{block}' failed: {type(error).__name__}: {one_line(str(error))[:200]}")
