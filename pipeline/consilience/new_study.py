"""Creates the folder of a new study: its graph, parameters, version control and plug-in folders."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from consilience import stage_code
from consilience.core import registry
from consilience.core.errors import ConsilienceError
from consilience.core.files import temporary_folder
from consilience.core.study import FOLDERS
from consilience.project import Project
from consilience.scaffold import TEMPLATES, write_params

DEMO = "demo"
KEPT = {".venv"}  # the environment, which the commands of the stages find
# Templates do not bear the names of their copies, which DVC would take for parts of the project
# that this package lies in.
FILES = {
    "README.md": "README.md.txt",
    "dvc.yaml": "dvc.yaml.txt",
    ".dvcignore": "dvcignore.txt",
    ".gitignore": "gitignore.txt",
    "prefect.yaml": "prefect.yaml.txt",
    "prefect.toml": "prefect.toml.txt",
    "tests/conftest.py": "conftest.py.txt",
    "data/.gitignore": "data_gitignore.txt",
    **{f"{folder}/README.md": template for folder, template in stage_code.FOLDERS.items()},
}


def create(
    folder: Path,
    dataset: str | None,
    root: Path | None,
    privacy: Mapping[str, bool] | None = None,
) -> list[str]:
    """Create a study; the folder is complete, or as it was before.

    Parameters
    ----------
    folder : Path
        Must not exist, or contain nothing but the environment ``.venv``.
    dataset : str or None
        Name of a registered dataset; None for the demonstration corpus.
    root : Path or None
        Folder of its recordings. A relative path starts from the working directory.
    privacy : mapping of str to bool, optional
        Parameters of the section ``privacy`` that differ from the defaults.

    Returns
    -------
    list of str
        What was found in the recordings, one line per modality, and what is missing here.

    Raises
    ------
    ConsilienceError
        If the folder has content or lies among the recordings, an argument is missing or wrong, or
        the recordings cannot be listed.
    """
    folder = folder.resolve()
    _check(folder, dataset, root)
    # In the folder itself where it exists: its parent may not be writable.
    with temporary_folder(folder / "params.yaml" if folder.is_dir() else folder) as place:
        built = place / folder.name
        built.mkdir()
        write_files(built)
        source = None if root is None else str(root.absolute())
        lines = write_params(Project(built), dataset or DEMO, source, (), False, privacy)
        lines += start_version_control(built)
        folder.mkdir(parents=True, exist_ok=True)
        # The folder itself is kept, because it may be a working directory.
        for entry in sorted(built.iterdir()):
            entry.rename(folder / entry.name)
    return lines


def write_files(folder: Path) -> None:
    """Write all files of a study but ``params.yaml`` into a folder."""
    for name, template in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_filled(name, (TEMPLATES / "study" / template).read_text(), folder.name))
    for name in FOLDERS.values():
        (folder / name).mkdir()


def _filled(name: str, text: str, study: str) -> str:
    """Return a template with the name of the study in it.

    Deployments bear it too: a server has one deployment of a name, and a second study on it would
    silently replace those of the first.
    """
    if name == "README.md":
        return text.replace("NAME", study, 1)
    if name == "prefect.yaml":
        return re.sub(r"^  - name: ", f"  - name: {deployment_prefix(study)}-", text, flags=re.M)
    return text


def deployment_prefix(study: str) -> str:
    """Return a study's name with the signs that the name of a deployment may have."""
    return re.sub(r"[^A-Za-z0-9]+", "-", study).strip("-").lower() or "study"


def start_version_control(folder: Path) -> list[str]:
    """Initialise git and DVC; return a line if git is missing, without which DVC works too."""
    config, git = (TEMPLATES / "study/dvc_config.txt").read_text(), shutil.which("git")
    if git:
        _run(folder, git, "init", "--quiet")
        _run(folder, sys.executable, "-m", "dvc", "init", "--quiet")
    else:
        _run(folder, sys.executable, "-m", "dvc", "init", "--quiet", "--no-scm")
        config = config.replace("[core]\n", "[core]\n    no_scm = true\n")
    (folder / ".dvc/config").write_text(config)
    # DVC's own page loads its drawing library from the network.
    (folder / ".dvc/plots.html").write_text((TEMPLATES / "study/plots.html.txt").read_text())
    return [] if git else ["no git on this machine: 'dvc metrics diff' and 'dvc exp' do not work"]


def _check(folder: Path, dataset: str | None, root: Path | None) -> None:
    where = "consilience init"
    if folder.exists() and (not folder.is_dir() or {file.name for file in folder.iterdir()} - KEPT):
        raise ConsilienceError("not an empty folder", str(folder), "name a new one: FOLDER")
    if dataset is None and root is not None:
        raise ConsilienceError(
            "--root without --dataset", where, "'consilience names' lists the datasets"
        )
    if dataset is not None:
        registry.check("datasets", dataset, "--dataset")
    if root is None and dataset not in (None, DEMO):
        raise ConsilienceError("--root is missing", where, f"name the folder of '{dataset}'")
    if root is not None and not root.is_dir():
        raise ConsilienceError("not a directory", f"--root {root}", "name that of the recordings")
    if root is not None and folder.is_relative_to(root.resolve()):
        raise ConsilienceError(
            f"{folder} lies among the recordings", f"--root {root}", "name another FOLDER"
        )


def _run(folder: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        what = (done.stderr.strip() or "it failed").splitlines()[-1]
        raise ConsilienceError(what, " ".join((Path(command[0]).name, *command[1:])))
