"""Exactly those stages become stale that import what was changed, and DVC notices it.

The expected closure is computed another way: by `modulefinder`, which reads bytecode, in a copy of
the package where ``if TYPE_CHECKING:`` is ``if False:``, which the compiler removes.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import consilience
from consilience import params, stage_code
from consilience.core.fingerprint import CodeBase
from consilience.project import Project

PACKAGE = Path(consilience.__file__).parent
METHODS = ["concat", "coherence_transfer"]
CASE = ("schema/params/alignment.py", "sample_tolerance_ms")

# Runs in a process of its own, on a copy of the package. Reads lines of JSON, each some changes:
# the new text by the path of a module. Prints the digest of every stage, or the store's key of
# every modality, with each set alone. The digests of unchanged code come from a store.
DIGESTS = """
import json, pathlib, sys
from consilience import params, stage_code
from consilience.core.fingerprint import CodeBase
from consilience.ingest.ingest import code_key
settings, store = params.load(pathlib.Path(sys.argv[1])), pathlib.Path(sys.argv[3])

def stages():
    files = stage_code.fingerprint_files(settings, CodeBase(store))
    return {name: json.loads(text)["digest"] for name, text in files.items()}

def keys():
    chosen = settings.modalities
    return {name: code_key(name, params, store) for name, params in chosen.items()}

digests = {"stages": stages, "keys": keys}[sys.argv[2]]

print(json.dumps(digests()), flush=True)
for line in sys.stdin:
    changes = {pathlib.Path(path): text for path, text in json.loads(line).items()}
    originals = {path: path.read_text() for path in changes}
    for path, text in changes.items():
        path.write_text(text)
    print(json.dumps(digests()), flush=True)
    for path, text in originals.items():
        path.write_text(text)
"""

# Imports every stage, as far as it imports at once, and prints the first-party modules loaded.
IMPORTS = """
import importlib, json, sys
for stage in sys.argv[1:]:
    for name in [name for name in sys.modules if name.partition(".")[0] == "consilience"]:
        del sys.modules[name]
    importlib.import_module(f"consilience.stages.{stage}")
    loaded = [name for name in sys.modules if name.partition(".")[0] == "consilience"]
    print(json.dumps([stage, loaded]))
"""


def run(source: Path, script: str, *arguments: str, lines: list[str] = []) -> list[Any]:  # noqa: B006
    """Run a script on a copy of the package; return what its lines of JSON hold."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=os.environ | {"PYTHONPATH": str(source)},
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def copy_package(source: Path, change: Callable[[str], str] = str) -> Path:
    """Copy the package into a folder, with a change to the text of every module."""
    shutil.copytree(PACKAGE, source / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in source.rglob("*.py"):
        path.write_text(change(path.read_text()))
    return source


def changed(path: Path, statement: str, function: str | None = None) -> str | None:
    """Return a module's text with a statement put first in a function's body; None without one."""
    text = path.read_text()
    lines = text.splitlines(keepends=True)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and function in (None, node.name):
            body = [part for part in node.body if not isinstance(part, ast.Expr)]
            if body and body[0].lineno > node.lineno:
                at = body[0].lineno - 1
                indent = " " * body[0].col_offset
                return "".join([*lines[:at], f"{indent}{statement}\n", *lines[at:]])
    return None


@dataclass
class Reference:
    """Import closures computed by `modulefinder`."""

    source: Path

    def closure(self, entry: str, plugins: Mapping[str, list[str]]) -> dict[str, Path]:
        """Return the files of all first-party modules that an entry module imports."""
        finder = ModuleFinder(path=[str(self.source)])
        todo = [entry]
        while todo:
            for name in todo:
                finder.import_hook(name)
            loaded = {name for name in finder.modules if name.partition(".")[0] == PACKAGE.name}
            calls = {call for name in loaded for call in self._calls(finder, name)}
            todo = sorted(
                {name for call in calls for name in self._modules(*call, plugins)} - loaded
            )
        return {name: self._file(finder, name) for name in loaded}

    def _file(self, finder: ModuleFinder, name: str) -> Path:
        return Path(str(finder.modules[name].__file__))  # type: ignore[attr-defined]

    def _calls(self, finder: ModuleFinder, name: str) -> Iterator[tuple[str, str, str]]:
        text = self._file(finder, name).read_text()
        literal = r'(?:"(\w+)"|[^",)]+)'
        for call in re.finditer(rf"registry\.(get|params)\(\s*{literal}(?:,\s*{literal})?", text):
            yield call[1], call[2] or "", call[3] or ""

    def _modules(
        self, function: str, kind: str, name: str, plugins: Mapping[str, list[str]]
    ) -> Iterator[str]:
        for a_kind in [kind] if kind else plugins:
            for a_name in [name] if name else plugins[a_kind]:
                light = f"{a_kind}/params/{a_name}.py"
                is_light = (self.source / PACKAGE.name / light).is_file()
                middle = ".params" if function == "params" and is_light else ""
                yield f"{PACKAGE.name}.{a_kind}{middle}.{a_name}"


@dataclass
class Study:
    """A copy of the package, small parameters, and which stage imports which modules."""

    source: Path
    project: Project
    closures: dict[str, set[str]]

    def path(self, module: str) -> Path:
        base = self.source.joinpath(*module.split("."))
        init = base / "__init__.py"
        return init if init.is_file() else base.with_suffix(".py")

    def users(self, module: str) -> set[str]:
        return {name for name, closure in self.closures.items() if module in closure}

    def stale(self, *changes: dict[str, str], of: str = "stages") -> list[set[str]]:
        """Return the stages whose digest each set of changes alters: new text by module.

        With ``of="keys"``, the modalities whose key in the store of ingested recordings changes.
        """
        lines = [
            json.dumps({str(self.path(module)): text for module, text in change.items()})
            for change in changes
        ]
        arguments = [str(self.project.params_file), of, str(self.project.store("code"))]
        before, *after = run(self.source, DIGESTS, *arguments, lines=lines)
        return [{name for name in before if before[name] != one[name]} for one in after]

    def picks(self) -> list[str]:
        """Return one module with a function per package: the one that fewest stages import."""
        by_package: dict[str, list[tuple[int, str]]] = {}
        for module in set().union(*self.closures.values()):
            if changed(self.path(module), "pass") is not None:
                package = module.rpartition(".")[0]
                by_package.setdefault(package, []).append((len(self.users(module)), module))
        return [min(modules)[1] for _, modules in sorted(by_package.items())]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("study")
    content = params.defaults("demo")
    content["methods"] = {name: content["methods"][name] for name in METHODS}
    (folder / "params.yaml").write_text(params.document(content))
    project = Project(folder)
    source = copy_package(folder / "source")
    without_types = re.compile(r"^(\s*)if TYPE_CHECKING:", re.MULTILINE)
    reference = Reference(
        copy_package(folder / "reference", lambda text: without_types.sub(r"\1if False:", text))
    )
    closures = {
        f"{name}.json": set(reference.closure(entry, plugins))
        for name, entry, plugins in stage_code.stage_instances(params.load(project.params_file))
    }
    return Study(source, project, closures)


def test_closures_equal_those_of_modulefinder(study):
    settings = params.load(study.project.params_file)
    for name, text in stage_code.fingerprint_files(settings, CodeBase()).items():
        modules = {key for key in json.loads(text)["modules"] if "/" not in key}
        assert modules == study.closures[name], name


def test_every_module_a_stage_really_imports_is_in_its_closure(study):
    loaded = dict(run(study.source, IMPORTS, *stage_code.stage_names()))
    assert set(loaded) == set(stage_code.stage_names())
    for name, closure in study.closures.items():
        stage = re.split(r"[-.]", name)[0]
        assert set(loaded[stage]) <= closure, name


def test_a_changed_function_makes_exactly_the_stages_that_import_it_stale(study):
    picks = study.picks()
    packages = {pick.rpartition(".")[0].removeprefix("consilience.") for pick in picks}
    assert {"alignment", "core", "datasets", "ingest", "model", "schema", "schema.params"} <= (
        packages
    )
    changes = [{module: changed(study.path(module), "changed = True")} for module in picks]
    for module, stale in zip(picks, study.stale(*changes), strict=True):
        assert stale == study.users(module), module
        assert stale, module


def test_a_changed_tolerance_makes_align_stale(study):
    module = "consilience.schema.params.alignment"
    path = study.path(module)
    change = changed(path, "return 1e-3", "sample_tolerance_ms")
    assert change is not None
    (stale,) = study.stale({module: change})
    assert "align.json" in stale
    assert stale == study.users(module)
    assert "ingest-eeg.json" not in stale


def test_a_changed_encoder_repeats_training_and_neither_windows_nor_ingest(study):
    encoders = [f"consilience.encoders.{name}" for name in ("base", "functionals")]
    others = ["consilience.schema.tables", "consilience.modalities.base"]
    changes = [{name: changed(study.path(name), "changed = True")} for name in encoders + others]
    *of_encoders, of_tables, of_modalities = study.stale(*changes, of="keys")
    assert of_encoders == [set(), set()]
    assert of_tables == set()
    assert of_modalities == set(params.load(study.project.params_file).modalities)
    encoding = {"evaluate.json", "query.json"} | {f"train-{name}.json" for name in METHODS}
    assert study.stale(*changes[: len(encoders)]) == [encoding, encoding]


def test_encoders_belong_to_the_stages_that_run_them(study):
    stages = {name: re.split(r"[-.]", name)[0] for name in study.closures}
    for name, closure in study.closures.items():
        encoding = stages[name] in stage_code.ENCODING_STAGES
        assert ("consilience.encoders.functionals" in closure) == encoding, name
        assert any("consilience.encoders" in module for module in closure) == encoding, name
    assert set(stages.values()) >= stage_code.ENCODING_STAGES


def test_functions_of_model_inputs_belong_to_the_stages_that_cut_windows(study):
    users = study.users("consilience.inputs.functionals")
    assert users == {"window.json", "corrupt.json"}
    assert not study.users("consilience.inputs.spectrogram")  # no modality of the study uses it


def test_comments_and_docstrings_make_nothing_stale(study):
    picks = study.picks()
    comments = {module: changed(study.path(module), "# changed") for module in picks}
    docs = {module: '"""Changed."""\n' + study.path(module).read_text() for module in picks}
    assert study.stale(comments, docs) == [set(), set()]


def test_a_stage_per_item_depends_on_no_other_item(study):
    eeg, concat = study.closures["ingest-eeg.json"], study.closures["train-concat.json"]
    assert "consilience.modalities.eeg" in eeg
    assert "consilience.modalities.audio" not in eeg
    assert "consilience.methods.concat" in concat
    assert "consilience.methods.coherence_transfer" not in concat
    assert "consilience.modalities.audio" in concat


def test_no_stage_loads_plugins_of_every_kind(study):
    """A kind that is not a literal would add all kinds of plug-ins to the stage's closure."""
    settings, code = params.load(study.project.params_file), CodeBase()
    for name, entry, plugins in stage_code.stage_instances(settings):
        closure = code.closure([entry], plugins)
        assert "consilience.params" not in closure.sources, name
        # `family` compares names and loads no plug-in.
        loading = [call for call in closure.union("lookups") if call.function != "family"]
        assert all(lookup.kind for lookup in loading), name
    for name in ("synthesize-demo", "label", "ingest-eeg"):
        closure = study.closures[f"{name}.json"]
        assert not {f"consilience.methods.{method}" for method in METHODS} & closure, name


def test_a_library_version_changes_the_stages_that_import_it(study, monkeypatch):
    settings = params.load(study.project.params_file)
    before = stage_code.fingerprint_files(settings, CodeBase())
    users = {name for name, text in before.items() if "torch" in json.loads(text)["libraries"]}
    original = CodeBase.__init__.__globals__["metadata"].version
    monkeypatch.setattr(
        "consilience.core.fingerprint.metadata.version",
        lambda name: "0.1" if name == "torch" else original(name),
    )
    after = stage_code.fingerprint_files(settings, CodeBase())
    assert {name for name in before if before[name] != after[name]} == users
    assert "train-concat.json" in users
    assert "label.json" not in users


def test_files_are_written_once_and_removed_with_their_stage(study):
    project = study.project
    stage_code.write_fingerprints(project)
    first = stamps(project.code)
    assert first.keys() == study.closures.keys() | {stage_code.CHECKED, project.settings_file.name}
    (project.code / "train-gone.json").write_text("{}")
    (project.code / "align.json").write_text("{}")
    stage_code.write_fingerprints(project)
    second = stamps(project.code)
    assert second.pop("align.json")[1] == first.pop("align.json")[1]
    assert second == first


def test_folders_that_an_earlier_study_lacks_are_made_before_a_stage_depends_on_them(study):
    project = study.project
    stage_code.write_fingerprints(project)
    assert stage_code.is_current(project)
    for name in stage_code.FOLDERS:
        readme = project.root / name / "README.md"
        text = readme.read_text()
        shutil.rmtree(readme.parent)
        assert not stage_code.is_current(project)
        stage_code.write_fingerprints(project)
        assert readme.read_text() == text
        assert stage_code.is_current(project)


def stamps(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}


@pytest.mark.slow
def test_dvc_reruns_the_stages_whose_code_changed_and_no_other(tmp_project, study, monkeypatch):
    """Outputs are stand-ins that DVC accepts by command, so that no stage has to run."""
    copy_package(tmp_project.folder / "pipeline")
    monkeypatch.setenv("PYTHONPATH", str(tmp_project.folder / "pipeline"))
    tmp_project.configure(methods=METHODS)
    tmp_project.repro("code")
    for place in data_paths(tmp_project.folder):
        path = place if place.suffix else place / "content"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(place.name)
    tmp_project.run("dvc", "commit", "--force")
    assert dvc_status(tmp_project) == {"code"}
    tmp_project.repro("code")
    assert dvc_status(tmp_project) == {"code"}
    assert "Running stage 'align'" not in tmp_project.repro("--dry")

    file, function = CASE
    path = tmp_project.folder / "pipeline" / PACKAGE.name / file
    change = changed(path, "return 1e-3", function)
    assert change is not None
    path.write_text(change)
    tmp_project.repro("code")
    users = study.users("consilience.schema.params.alignment")
    stale = {name.removesuffix(".json").replace("-", "@") for name in users}
    # The report states the code of every stage.
    assert dvc_status(tmp_project) == {"code", "report", *stale}
    assert "align" in stale
    assert "Running stage 'align'" in tmp_project.repro("--dry")


def data_paths(folder: Path) -> Iterator[Path]:
    """Yield the data that every stage but ``code`` reads and writes, items filled in."""
    graph = YAML(typ="safe").load((folder / "dvc.yaml").read_text())["stages"]
    settings = params.load(folder / "params.yaml")
    items = {"corpus": ["demo"], "modality": settings.modalities, "method": settings.methods}
    for entry in graph.values():
        texts = [
            text if isinstance(text, str) else next(iter(text))
            for key in ("deps", "outs", "metrics", "plots")
            for text in entry.get(key, [])
        ]
        variable = next(iter(entry.get("matrix", {})), "")
        for text in (text for text in texts if not text.startswith(("data/code", "$"))):
            for item in items.get(variable, [""]):
                yield folder / text.replace(f"${{item.{variable}}}", item)


def dvc_status(project: Any) -> set[str]:
    """Return the stages that DVC would run."""
    status = json.loads(project.run("dvc", "status", "--json").stdout)
    return {name.removeprefix("dvc.yaml:") for name in status}
