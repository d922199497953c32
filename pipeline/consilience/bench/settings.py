"""The file ``bench.yaml``: the corpora of a bench, their methods and changed parameters."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from pydantic import Field
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq

from consilience.core.errors import ConsilienceError
from consilience.core.files import write_bytes
from consilience.schema.params.base import Section, read_yaml, validated
from consilience.schema.params.plugins import DEFAULT_METHOD

FILE = "bench.yaml"
METHODS = (DEFAULT_METHOD, "concat", "hybrid", "gated_hybrid")
PLUGINS = ("modalities", "methods")  # sections with a level of names above the parameters
HEADING = """\
# Corpora of 'consilience bench', which reads this file when it is run again. 'methods' and 'params'
# hold for every corpus; those of a corpus take precedence. 'params' changes single parameters of
# the params.yaml of the corpus, such as {training: {seeds: [0], epochs: 10}}.
"""

Changes = dict[str, dict[str, Any]]


class Corpus(Section):
    """One corpus; a relative `root` starts from the folder of ``bench.yaml``."""

    dataset: str
    root: str
    modalities: tuple[str, ...] = ()  # those of the dataset's preset
    methods: tuple[str, ...] = ()  # those of all corpora
    params: Changes = Field(default_factory=dict)


class Settings(Section):
    """Content of ``bench.yaml``; `left_out` has the reason for each folder that is not used."""

    methods: tuple[str, ...] = Field(min_length=1)
    params: Changes = Field(default_factory=dict)
    corpora: dict[str, Corpus] = Field(min_length=1)
    left_out: dict[str, str] = Field(default_factory=dict)

    def complete(self, name: str, folder: Path) -> Corpus:
        """Return a corpus with its methods, all changes of parameters and an absolute root."""
        corpus = self.corpora[name]
        return Corpus(
            dataset=corpus.dataset,
            root=str((folder / corpus.root).absolute()),
            modalities=corpus.modalities,
            methods=corpus.methods or self.methods,
            params=changed(self.params, corpus.params),
        )


def changed(content: Changes, changes: Changes) -> dict[str, Any]:
    """Return nested parameters with some of them replaced; a parameter is replaced as a whole."""
    result: dict[str, Any] = dict(content)
    for section, fields in changes.items():
        before = result.get(section, {})
        if section in PLUGINS:
            fields = {
                name: {**before.get(name, {}), **(values or {})} for name, values in fields.items()
            }
        result[section] = {**before, **fields}
    return result


def read(folder: Path) -> Settings:
    """Read and check ``bench.yaml``.

    Raises
    ------
    ConsilienceError
        If it is missing, not YAML or invalid.
    """
    path = folder / FILE
    if not path.is_file():
        raise ConsilienceError(
            "the file is missing", str(path), "name the folder of the corpora: --data"
        )
    settings = validated(Settings, read_yaml(path), str(path), ())
    for name in settings.corpora:
        if Path(name).name != name or name.startswith("."):
            raise ConsilienceError(
                f"corpus '{name}' cannot name a folder", str(path), "use letters, digits, - and _"
            )
    return settings


def write(folder: Path, settings: Settings) -> None:
    """Write ``bench.yaml``; lists are on one line."""
    writer = YAML()
    writer.width = 1000
    text = io.StringIO()
    writer.dump(_in_flow_style(settings.model_dump(mode="json")), text)
    write_bytes(folder / FILE, (HEADING + text.getvalue()).encode())


def _in_flow_style(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _in_flow_style(item) for key, item in value.items()}
    if isinstance(value, list):
        sequence = CommentedSeq(value)
        sequence.fa.set_flow_style()
        return sequence
    return value
