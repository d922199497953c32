"""Media containers: opening them, and what they say of their duration."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import av

from pipeline.errors import RecordingError

# The name of FFmpeg's reader by file name ending.
CONTAINERS = {
    ".mp4": "mov",
    ".mov": "mov",
    ".avi": "avi",
    ".flv": "flv",
    ".mpg": "mpeg",
    ".mpeg": "mpeg",
    ".mkv": "matroska",
}
MISSING = {
    "audio": ("there is no sound track", "export it with sound"),
    "video": ("there is no picture", "export it with its video"),
}


def open_container(path: Path, kind: Literal["audio", "video"]) -> Any:
    """Open a media file that has at least one stream of a kind.

    Returns
    -------
    av.container.InputContainer
        To be closed by the caller.

    Raises
    ------
    RecordingError
        If the file is empty, no media file, of another format than its ending says, or has no
        such stream.
    """
    if path.stat().st_size == 0:
        raise RecordingError("the file is empty", str(path), "copy it again from the recorder")
    try:
        container = av.open(str(path))
    except (av.FFmpegError, OSError) as error:
        raise RecordingError(
            f"not a readable media file: {error.strerror or error}", str(path), "copy it again"
        ) from None
    expected = CONTAINERS[path.suffix.lower()]
    if expected not in container.format.name.split(","):
        container.close()
        raise RecordingError(
            f"the content is {container.format.name}, not {expected}",
            str(path),
            "correct the file's ending",
        )
    if not getattr(container.streams, kind):
        container.close()
        what, remedy = MISSING[kind]
        raise RecordingError(what, str(path), remedy)
    return container


def declared_s(container: Any, stream: Any) -> float | None:
    """Return the duration a stream, or else its container, states in seconds."""
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration is not None else None
