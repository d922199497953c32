"""Stage ``code``: ``python -m consilience.stages.code``; DVC runs it every time."""

from __future__ import annotations

from pathlib import Path

from consilience import stages
from consilience.project import Project
from consilience.stage_code import is_current, write_fingerprints

if __name__ == "__main__" and not is_current(Project(Path.cwd())):
    stages.run(write_fingerprints)
