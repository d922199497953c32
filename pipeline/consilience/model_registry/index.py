"""The list of accepted models: ``data/registry/registry.json``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from consilience.core.errors import ConsilienceError
from consilience.core.files import DamagedFileError, read_json, write_json
from consilience.project import Project
from consilience.training.card import Digest, Name, Text

SCHEMA_VERSION = 1
INDEX = "registry.json"
BUNDLE = "bundle"  # folder of a version with its model
TRACKED = "registry.dvc"  # beside the folder
RESTORE = "run 'dvc checkout data/registry.dvc', or 'dvc pull data/registry.dvc'"
LIST = "'consilience models' lists them"

VersionName = Annotated[str, Field(pattern="^v[0-9]{4,8}$")]
Estimate = Annotated[list[float | None], Field(min_length=3, max_length=3)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Version(_Part):
    """One accepted model.

    Attributes
    ----------
    name : str
        ``v0001``, ``v0002``, …
    time : str
        When it was accepted, UTC.
    method : str
    model_sha256 : str
        Of the weights of the study's networks, from whose training the bundle was made.
    files : dict of str to str
        SHA-256 of each file, by its path in the version's folder.
    metrics : dict of str to list of float
        Of the bundle's card: balanced accuracy with all sensors (``all``) and calibration error
        (``ece``), each with the low and high end of its interval.
    n_people, n_windows : int
        Of the training.
    decision : dict
        `Decision.as_json`.
    """

    name: VersionName
    time: Text
    method: Name
    model_sha256: Digest
    files: dict[str, Digest] = Field(min_length=1)
    metrics: dict[Name, Estimate]
    n_people: int = Field(ge=0)
    n_windows: int = Field(ge=0)
    decision: dict[str, Any]


class Event(_Part):
    """Acceptance of a version, or return to it."""

    time: Text
    action: Literal["accept", "rollback"]
    version: VersionName
    replaced: VersionName | None
    reason: str


class Index(_Part):
    """Content of ``registry.json``."""

    schema_version: int = SCHEMA_VERSION
    current: VersionName | None = None
    versions: list[Version] = []
    history: list[Event] = []

    def get(self, name: str) -> Version:
        """Return a version by its name.

        Raises
        ------
        ConsilienceError
            If it does not exist.
        """
        for version in self.versions:
            if version.name == name:
                return version
        names = ", ".join(version.name for version in self.versions) or "none"
        raise ConsilienceError(f"unknown version; accepted are: {names}", name, LIST)


def read_index(project: Project) -> Index:
    """Read ``registry.json``; an empty one before the first version. Errors as `versions`."""
    path = project.registry / INDEX
    if not path.is_file():
        folder = project.registry
        # An empty folder is left by a first version that was interrupted.
        if (project.data / TRACKED).is_file() or (folder.is_dir() and any(folder.iterdir())):
            raise ConsilienceError("the file is missing", str(path), RESTORE)
        return Index()
    try:
        content = read_json(path)
        _check_schema(content, path)
        index = Index.model_validate(content)
        if index.current:
            index.get(index.current)
    except DamagedFileError as error:
        raise ConsilienceError(error.what, str(path), RESTORE) from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise ConsilienceError(f"{place[:100]}: {first['msg']}", str(path), RESTORE) from None
    return index


def _check_schema(content: Any, path: Path) -> None:
    """Raise if a later version wrote the file, whose entries may have another meaning."""
    schema = content.get("schema_version") if isinstance(content, dict) else None
    if isinstance(schema, int) and schema > SCHEMA_VERSION:
        raise ConsilienceError(
            f"schema version {schema}, newer than {SCHEMA_VERSION}",
            str(path),
            "install a newer version of consilience",
        )


def write_index(project: Project, index: Index) -> None:
    """Write ``registry.json``."""
    write_json(project.registry / INDEX, index.model_dump(mode="json"))
