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
                members.extractall(aside, filter="data")
        except tarfile.TarError as error:
            raise ConsilienceError(
                f"not unpacked: {error}", str(archive), "fetch it again"
            ) from None
        for table in sorted(archive.parent.glob("*.csv")):
            shutil.copyfile(table, aside / table.name)
