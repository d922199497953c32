"""``consilience stage NAME``, which fails if its parameters change while it runs.

DVC reads the parameters of a stage again after its end, and records those with its results. Results
of other parameters would then count as up to date.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from consilience import stages
from consilience.core.errors import ConsilienceError

GRAPH = "dvc.yaml"
CODE = "code"  # runs every time, and records no parameters


def main(words: Sequence[str]) -> None:
    """Run a stage on the project in the working directory; see `stages.main`.

    Raises
    ------
    ConsilienceError
        If a value that ``dvc.yaml`` names for the stage is another one in the end.
    """
    file = Path("params.yaml")
    before = _content(file)
    stages.main(words)
    if _content(file) == before or words[0] == CODE:
        return
    if changed := changed_values(words[0], before, _content(file)):
        raise ConsilienceError(
            f"changed while stage '{words[0]}' ran: {', '.join(changed)}",
            str(file),
            "start it again",
        )


def changed_values(stage: str, before: bytes, after: bytes) -> list[str]:
    """Return the parameters of a stage that differ between two contents of ``params.yaml``.

    Parameters
    ----------
    stage : str
        Its name in ``dvc.yaml``, without an item; one that is not there has all parameters.
    before, after : bytes
        YAML.
    """
    from ruamel.yaml import YAML, YAMLError  # slow to import

    yaml = YAML(typ="safe")
    try:
        former, latter = yaml.load(before), yaml.load(after)
        entry = (yaml.load(_content(Path(GRAPH))) or {}).get("stages", {}).get(stage, {})
    except YAMLError:
        return ["it is not valid YAML"]
    names = entry.get("params", list({**former, **latter}))
    # Of 'modalities.${item.modality}', all modalities.
    keys = [str(name).partition(".${")[0] for name in names]
    return [key for key in keys if _value(former, key) != _value(latter, key)]


def _value(content: object, key: str) -> object:
    for name in key.split("."):
        content = content.get(name) if isinstance(content, dict) else None
    return content


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # which the stage reports
        return b""
