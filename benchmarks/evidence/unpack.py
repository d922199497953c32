"""Recordings that a corpus's owner publishes as one archive."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

from consilience.core.errors import ConsilienceError
from consilience.core.files import atomic_folder


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar file into a folder, with the tables that lie beside it.

    Parameters
    ----------
    archive : Path
    folder : Path
        Replaced as a whole.

    Raises
    ------
    ConsilienceError
        If the archive is missing or damaged, or an entry would be written outside the folder.
    """
    if not archive.is_file():
        raise ConsilienceError("missing archive", str(archive), "see docs/datasets.md")
    with atomic_folder(folder) as aside:
        try:
            with tarfile.open(archive) as members:
                write_files(members, aside)
        except tarfile.TarError as error:
            raise ConsilienceError(
                f"not unpacked: {error}", str(archive), "fetch it again"
            ) from None
        for table in sorted(archive.parent.glob("*.csv")):
            shutil.copyfile(table, aside / table.name)


def write_files(members: tarfile.TarFile, folder: Path) -> None:
    """Write the files of an archive; links and devices are left out.

    `TarFile.extractall` checks places by its argument ``filter`` from Python 3.11.4 on alone.
    """
    inside = folder.resolve()
    for member in members:
        path = folder / member.name
        if not path.resolve().is_relative_to(inside):
            raise tarfile.TarError(f"'{member.name}' lies outside of the folder")
        if content := members.extractfile(member) if member.isfile() else None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                shutil.copyfileobj(content, file)
