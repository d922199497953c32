"""A study with three labelled windows, and an export of Label Studio in its format JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from consilience.core.files import write_json
from consilience.project import Project
from consilience.schema.tables import Labels, frame_of, write_table

CLASSES = ("calm", "sad")


def study(root: Path) -> Project:
    """Write the tables of a study that an import reads."""
    project = Project(root)
    write_json(project.catalog / "dataset.json", {"name": "demo", "classes": CLASSES})
    rows: list[dict[str, object]] = [
        {
            "window": f"s1_t1_{start:07d}",
            "session": "s1",
            "subject": "ada",
            "trial": "t1",
            "start_s": start / 1e3,
            "end_s": start / 1e3 + 4,
            "n_annotators": 0,
        }
        for start in (0, 4000, 8000)
    ]
    write_table(project.labels / "labels.parquet", frame_of(rows, Labels), Labels)
    return project


def export() -> list[dict[str, Any]]:
    """Return the recorded export: two tasks with answers of two people, one of them skipped."""
    content: list[dict[str, Any]] = json.loads(Path(__file__).with_name("export.json").read_text())
    return content


def written(root: Path, content: object) -> Path:
    """Write an export and return its path."""
    path = root / "export.json"
    path.write_text(json.dumps(content))
    return path
