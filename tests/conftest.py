"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from benchmarks.new_project import create_project
from consilience import params
from consilience.core import study
from tests.real_data import NO_REAL_DATA, REAL_DATA

ROOT = Path(__file__).parent.parent
# Speed is a benchmark's affair: on a busy machine a deadline would fail for no fault of the code.
# The same examples in every run: a change is not to be blamed for what the dice found.
settings.register_profile("repeatable", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("repeatable")
# Tests run side by side, each in one process: worker processes that outlive a test would also keep
# its working directory.
os.environ.setdefault("CONSILIENCE_WORKERS", "1")


@pytest.fixture(autouse=True)
def without_study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Leave the study that a test has used, whose plug-ins the next one must not have."""
    yield
    if study.folder() is not None:
        study.use(tmp_path_factory.getbasetemp())


SMALL: dict[str, dict[str, Any]] = {
    "synthesis": {
        "subjects": 4,
        "sessions": 1,
        "trials": 4,
        "trial_s": 4.0,
        "missing_fraction": 0.0,
        "faulty_fraction": 0.0,
    },
    "splits": {"folds": 2, "validation_subjects": 1},
    "training": {"epochs": 3, "seeds": [0]},
    "robustness": {"bootstrap": 200},
}


@dataclass
class ProjectCopy:
    """A copy of the project in a repository of its own, where DVC really runs."""

    folder: Path
    log: str = ""  # what reproducing it printed

    def configure(self, dataset: str = "demo", root: str | None = None, **sections: Any) -> None:
        """Write params.yaml: a dataset's defaults, small enough for a test, with changes.

        Of a section given as a list of keys nothing else is kept.
        """
        content = params.defaults(dataset, root)
        for section, values in [*SMALL.items(), *sections.items()]:
            given = content[section]
            if isinstance(values, list):
                content[section] = {key: given[key] for key in values}
            else:
                content[section] = {**given, **values}
        (self.folder / "params.yaml").write_text(params.document(content))

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment in the project's folder."""
        program = Path(sys.executable).parent / command[0]
        environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"}
        done = subprocess.run(
            [str(program), *command[1:]],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        if check:
            assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done

    def repro(self, *targets: str, check: bool = True) -> str:
        """Run ``dvc repro`` and return all it printed."""
        done = self.run("dvc", "repro", *targets, check=check)
        return done.stdout + done.stderr

    def files(self, folder: str) -> dict[str, bytes]:
        """Return the content of every file below a folder."""
        base = self.folder / folder
        return {
            path.relative_to(base).as_posix(): path.read_bytes()
            for path in sorted(base.rglob("*"))
            if path.is_file() and path.name != ".gitignore"
        }


def copy_project(folder: Path) -> ProjectCopy:
    """Set up a project as a user has it."""
    create_project(folder)
    return ProjectCopy(folder)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the files with slow tests first, so that no process ends the run alone."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    demo = {ROOT / name for name in DEMO_FILES}
    items.sort(key=lambda item: (item.path not in demo, item.path not in slow))


class FilesTogether(LoadFileScheduling):
    """Give the tests of a file to one process, and those of the demonstration project too."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "demo" if file in DEMO_FILES else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FilesTogether:
    return FilesTogether(config, log)


DEMO_FILES = (
    "tests/stages/test_repro.py",
    "tests/evaluation/test_external.py",
    "tests/flows/test_cluster_run.py",
    "tests/prediction/test_recordings.py",
    "tests/test_tutorial.py",
)
DEMO = {"modalities": ["eeg", "audio"], "methods": ["coherence_transfer"]}


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> ProjectCopy:
    """Give the demonstration project, reproduced once for all tests of a run; read only."""
    project = copy_project(tmp_path_factory.mktemp("demo") / "project")
    project.configure(**DEMO)
    project.log = project.repro()
    return project


@pytest.fixture(scope="module")
def demo_copy(demo: ProjectCopy, tmp_path_factory: pytest.TempPathFactory) -> ProjectCopy:
    """Give a copy of the reproduced demonstration project, to be changed."""
    folder = tmp_path_factory.mktemp("demo") / "demo"
    shutil.copytree(demo.folder, folder)
    copy = ProjectCopy(folder)
    copy.log = demo.log
    return copy


@pytest.fixture
def tmp_project(tmp_path: Path) -> ProjectCopy:
    """Give a fresh copy of the project with an empty DVC cache."""
    return copy_project(tmp_path / "project")


@pytest.fixture(scope="session")
def make_project(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], ProjectCopy]:
    """Make projects that outlive one test, for fixtures of wider scope."""
    return lambda: copy_project(tmp_path_factory.mktemp("project") / "project")


@pytest.fixture
def real_data() -> Path:
    """Give the folder of real recordings, or skip."""
    if not REAL_DATA.is_dir():
        pytest.skip(NO_REAL_DATA)
    return REAL_DATA


@dataclass
class XdfStream:
    """A stream to write to an XDF file: numbers as float32, or text."""

    name: str
    type: str
    rate_hz: float
    values: Any
    stamps_s: Any
    channels: tuple[str, ...] = ()
    unit: str = "microvolts"
    offsets: tuple[tuple[float, float], ...] = ((0.0, 0.0),)

    @property
    def is_text(self) -> bool:
        return len(self.values) > 0 and isinstance(self.values[0], str)

    def header(self) -> str:
        width = max(len(self.channels), 1)
        named = "".join(
            f"<channel><label>{escape(label)}</label><unit>{self.unit}</unit></channel>"
            for label in self.channels
        )
        form = "string" if self.is_text else "float32"
        return (
            f"<info><name>{escape(self.name)}</name><type>{escape(self.type)}</type>"
            f"<channel_count>{width}</channel_count><nominal_srate>{self.rate_hz}</nominal_srate>"
            f"<channel_format>{form}</channel_format>"
            f"<desc><channels>{named}</channels></desc></info>"
        )

    def samples(self) -> bytes:
        if self.is_text:
            values = [
                b"\x04" + struct.pack("<I", len(t.encode())) + t.encode() for t in self.values
            ]
        else:
            values = [np.atleast_1d(row).astype("<f4").tobytes() for row in self.values]
        stamped = [
            b"\x08" + struct.pack("<d", stamp) + value
            for stamp, value in zip(self.stamps_s, values, strict=True)
        ]
        return b"\x04" + struct.pack("<I", len(stamped)) + b"".join(stamped)


def write_xdf_file(path: Path, *streams: XdfStream) -> Path:
    """Write the chunks that the XDF specification asks for, as LabRecorder does."""

    def chunk(tag: int, content: bytes) -> bytes:
        return b"\x08" + struct.pack("<QH", len(content) + 2, tag) + content

    parts = [b"XDF:", chunk(1, b"<info><version>1.0</version></info>")]
    numbered = [(struct.pack("<I", number), one) for number, one in enumerate(streams, 1)]
    parts += [chunk(2, number + one.header().encode()) for number, one in numbered]
    parts += [chunk(3, number + one.samples()) for number, one in numbered if len(one.values)]
    for number, one in numbered:
        parts += [chunk(4, number + struct.pack("<dd", *pair)) for pair in one.offsets]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(parts))
    return path


@pytest.fixture(scope="session")
def xdf() -> tuple[type[XdfStream], Callable[..., Path]]:
    """Give the description of a stream, and the function that writes an XDF file of some."""
    return XdfStream, write_xdf_file
