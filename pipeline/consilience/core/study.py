"""Plug-ins of a study: the files in its folders ``sensors``, ``datasets`` and ``methods``.

They count as modules of the package, after its own: ``sensors/gaze.py`` of the study in use is
``consilience.modalities.gaze``. A process uses one study at a time, and so do the processes that it
starts, which find it in an environment variable. The package imports this module before all others.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module, invalidate_caches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = __name__.partition(".")[0]
VARIABLE = "CONSILIENCE_STUDY"
MARK = "params.yaml"  # a folder with this file is a study
FOLDERS = {"modalities": "sensors", "datasets": "datasets", "methods": "methods"}


def use(root: Path) -> None:
    """Use the plug-ins of a study, here and in the processes that this one starts from now on.

    Parameters
    ----------
    root : Path
        The folder with ``params.yaml``. Any other folder is not a study and has no plug-ins,
        whatever the names of its folders.

    Raises
    ------
    ConsilienceError
        If a file has the name of a module of the package.
    """
    if folder() != root.absolute():
        _release()
    if (root / MARK).is_file():
        os.environ[VARIABLE] = str(root.absolute())
    for kind, place in places().items():
        _check_names(kind, place)
    attach()


def places() -> dict[str, Path]:
    """Return the folder of each kind of plug-in of the study in use; none without a study."""
    root = folder()
    return {} if root is None else {kind: root / name for kind, name in FOLDERS.items()}


def folder() -> Path | None:
    """Return the folder of the study in use; None without one."""
    if VARIABLE not in os.environ:
        return None
    from pathlib import Path  # slow to import

    return Path(os.environ[VARIABLE])


def attach() -> None:
    """Let the import system search the folders of the study in use."""
    for kind, place in places().items():
        package = import_module(f"{PACKAGE}.{kind}")
        package.__path__ = [package.__path__[0], str(place)]
    invalidate_caches()


def _release() -> None:
    """Leave the study that was in use, and forget its plug-ins."""
    folders = [str(place) for place in places().values()]
    os.environ.pop(VARIABLE, None)
    for kind in FOLDERS:
        if package := sys.modules.get(f"{PACKAGE}.{kind}"):
            package.__path__ = [package.__path__[0]]
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) or ""
        if name.startswith(PACKAGE) and file.rpartition(os.sep)[0] in folders:
            del sys.modules[name]


def _check_names(kind: str, place: Path) -> None:
    from pathlib import Path  # slow to import

    if not place.is_dir():
        return
    package = Path(import_module(f"{PACKAGE}.{kind}").__path__[0])
    in_use = {path.stem for path in package.iterdir()} - {"__init__"}
    for file in sorted(place.glob("*.py")):
        if file.stem in in_use:
            from consilience.core.errors import ConsilienceError

            raise ConsilienceError(
                f"the name '{file.stem}' is in use already", str(file), "rename the file"
            )
