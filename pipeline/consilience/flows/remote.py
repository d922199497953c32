"""Results to and from a DVC remote, and ``dvc.lock`` on a branch of git.

Only failures of the remote are repeated: a mistake of the user stays one.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.states import Cancelled, Completed, Failed, State

from consilience.core.dvc import call
from consilience.core.errors import ConsilienceError
from consilience.flows.repair import dvc_files
from consilience.flows.stopping import STOPPED, unless_stopped

RETRY_DELAYS_S = [10.0, 60.0]
# DVC's lines about a setting, which another attempt would meet again.
MISTAKES = (
    "config file error",
    "no remote",
    "unsupported",
    "is required",
    "not supported",
    "forbidden",
    "access denied",
    "unable to locate credentials",
)


def is_passing(message: str) -> bool:
    """Return whether a failure of a remote may be gone at the next attempt."""
    return not any(words in message.lower() for words in MISTAKES)


def _may_pass(_task: Any, _run: Any, state: State[Any]) -> bool:
    return is_passing(str(state.message or ""))


@task(
    task_run_name="{command}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=len(RETRY_DELAYS_S),
    retry_delay_seconds=RETRY_DELAYS_S,
    retry_condition_fn=_may_pass,
)
async def transfer(
    folder: Path, command: Literal["pull", "push"], outputs: Sequence[str] = ()
) -> State[Any]:
    """Download some outputs, see `missing_outputs`, or upload all results.

    Outputs that the remote lacks do not end a download. Other outputs are not compared with the
    remote: DVC refuses to replace one that is nowhere else. An upload leaves out what the remote
    has already.
    """
    options = ("--allow-missing", "--", *outputs) if command == "pull" else ()
    logger = get_run_logger()
    try:
        lines = await unless_stopped(call(folder, command, *options, report=logger.info))
    except ConsilienceError as error:
        return Failed(message=str(error))
    return Cancelled(message=STOPPED) if lines is None else Completed()


async def default_remote(folder: Path) -> str | None:
    """Return the name of the project's default remote; None without one."""
    try:
        lines = await call(folder, "config", "core.remote", report=lambda line: None)
    except ConsilienceError:  # not set
        return None
    return lines[-1].strip() if lines else None


def missing_outputs(folder: Path, stages: Collection[str]) -> list[str]:
    """Return the outputs of stages in ``dvc.lock``, and of ``.dvc`` files, that do not exist.

    ``dvc.lock`` also keeps stages that the project does not have any more.
    """
    return [path for path in _outputs(folder, stages) if not (folder / path).exists()]


def _outputs(folder: Path, stages: Collection[str]) -> Iterator[str]:
    lock = folder / "dvc.lock"
    recorded = (_yaml(lock).get("stages") or {}) if lock.is_file() else {}
    for stage in sorted(recorded.keys() & set(stages)):
        yield from (out["path"] for out in recorded[stage].get("outs", ()))
    for file in dvc_files(folder):
        yield from (str(file.parent / out["path"]) for out in _yaml(file).get("outs", ()))


def _yaml(path: Path) -> dict[str, Any]:
    from ruamel.yaml import YAML, YAMLError  # slow to import

    try:
        content = YAML(typ="safe").load(path.read_text())
    except (OSError, YAMLError):  # DVC reports what is wrong with it
        return {}
    return content if isinstance(content, dict) else {}


def commit_lock(folder: Path, branch: str, message: str) -> str | None:
    """Commit ``dvc.lock``, ``params.yaml`` and ``.dvc`` files on a branch, beside the working tree.

    The branch begins at the current commit if it does not exist. Files and index of the working
    tree are not used, so that a person may work in the same folder.

    Parameters
    ----------
    folder : Path
        The project's folder.
    branch : str
    message : str

    Returns
    -------
    str or None
        The abbreviated commit; None if the branch has the files already.

    Raises
    ------
    ConsilienceError
        If the folder is not in a git repository with a commit, or the name is invalid.
    """
    _git(folder, "check-ref-format", "--branch", branch)
    reference = f"refs/heads/{branch}"
    tip = _git(folder, "rev-parse", "--verify", "--quiet", reference, check=False)
    parent = tip or _git(folder, "rev-parse", "--verify", "HEAD")
    prefix = _git(folder, "rev-parse", "--show-prefix")
    with TemporaryDirectory() as temporary:
        index = {"GIT_INDEX_FILE": str(Path(temporary, "index"))}
        _git(folder, "read-tree", parent, variables=index)
        tracking = [path.relative_to(folder).as_posix() for path in dvc_files(folder)]
        for name in ("dvc.lock", "params.yaml", *tracking):
            if (folder / name).is_file():
                blob = _git(folder, "hash-object", "-w", "--", name)
                entry = f"100644,{blob},{prefix}{name}"
                _git(folder, "update-index", "--add", "--cacheinfo", entry, variables=index)
        tree = _git(folder, "write-tree", variables=index)
    if tree == _git(folder, "rev-parse", f"{parent}^{{tree}}"):
        return None
    commit = _git(folder, "commit-tree", tree, "-p", parent, "-m", message)
    # The former tip is named, so that a commit of another process is not lost.
    _git(folder, "update-ref", reference, commit, tip or "0" * len(commit))
    return commit[:12]


def _git(
    folder: Path,
    *arguments: str,
    check: bool = True,
    variables: Mapping[str, str] | None = None,
) -> str:
    author = {
        f"GIT_{role}_{field}": value
        for role in ("AUTHOR", "COMMITTER")
        for field, value in (("NAME", "consilience"), ("EMAIL", "consilience@localhost"))
    }
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env={**author, **os.environ, **(variables or {})},
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise ConsilienceError("git is not installed", "commit_branch", "install git") from None
    if done.returncode and check:
        what = (done.stderr.strip() or "it failed").splitlines()[-1]
        raise ConsilienceError(what, " ".join(("git", *arguments[:2])))
    return done.stdout.strip()
