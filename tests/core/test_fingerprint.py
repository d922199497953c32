"""Fingerprints of small packages written for the test; tests/stages/test_code.py has the stages."""

from __future__ import annotations

import json
import os
import sys
from importlib import metadata
from pathlib import Path

import pytest

from consilience.core import registry
from consilience.core.fingerprint import CodeBase, fingerprint

TOY = {
    "__init__": "",
    "a": "from toy import b\nimport numpy\n",
    "b": "def f():\n    from toy.c import thing\n    return thing\n",
    "c": "thing = 1\n",
    "d": "import toy.c\n",
    "aside": "",
}


class Toy:
    """A package ``toy`` on the search path, whose modules a test rewrites."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in TOY.items():
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        path = self.folder / "toy" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def modules(self, entry: str = "toy.a", **plugins: list[str]) -> set[str]:
        return set(CodeBase().closure([entry], plugins).sources)


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    monkeypatch.syspath_prepend(str(tmp_path))
    return Toy(tmp_path)


def digest(entry: str = "toy.a") -> str:
    return fingerprint([entry]).digest


def install(folder: Path, name: str, version: str) -> None:
    """Write the module and the metadata of an installed library."""
    (folder / f"{name}.py").write_text("")
    info = folder / f"{name}.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text(f"{name}.py,,\n{name}.dist-info/METADATA,,\n")


def test_a_closure_has_all_imports_including_those_in_functions(toy):
    assert toy.modules() == {"toy", "toy.a", "toy.b", "toy.c"}
    assert toy.modules("toy.d") == {"toy", "toy.c", "toy.d"}


def test_a_changed_function_far_away_changes_the_digest(toy):
    before, aside = digest(), digest("toy.aside")
    toy.write("c", "thing = 2\n")
    assert digest() != before
    assert digest("toy.aside") == aside


def test_the_init_of_a_parent_package_counts(toy):
    before = digest("toy.c")
    toy.write("__init__", "import toy.aside\n")
    assert digest("toy.c") != before
    assert "toy.aside" in toy.modules("toy.c")


@pytest.mark.parametrize("condition", ["TYPE_CHECKING", "typing.TYPE_CHECKING"])
def test_imports_for_type_checkers_do_not_count(toy, condition):
    text = f"import typing\nfrom typing import TYPE_CHECKING\nif {condition}:\n    import toy.d\n"
    toy.write("a", text)
    assert toy.modules() == {"toy", "toy.a"}
    toy.write("a", text + "else:\n    import toy.c\n")
    assert toy.modules() == {"toy", "toy.a", "toy.c"}
    toy.write("a", text.replace(f"if {condition}", f"if not {condition}"))
    assert "toy.d" in toy.modules()


def test_relative_imports_are_resolved(toy):
    toy.write("a", "from . import b\n")
    assert "toy.b" in toy.modules()
    toy.write("sub/__init__", "from .inner import f\nfrom ..d import c\n")
    toy.write("sub/inner", "")
    toy.write("a", "import toy.sub\n")
    assert toy.modules() == {"toy", "toy.a", "toy.c", "toy.d", "toy.sub", "toy.sub.inner"}


def test_a_namespace_package_needs_no_init(toy):
    toy.write("space/inner", "thing = 1\n")
    toy.write("a", "from toy.space import inner\n")
    assert "toy.space.inner" in toy.modules()


def test_a_literal_import_by_name_counts(toy):
    toy.write("a", "import importlib\nimportlib.import_module('toy.d')\n")
    assert "toy.d" in toy.modules()
    toy.write("a", "from importlib.util import find_spec\nfind_spec('soundfile')\n")
    assert "soundfile" in fingerprint(["toy.a"]).libraries


@pytest.mark.parametrize(
    "text",
    [
        "# why\nthing = 1\n",
        "'''What this is.'''\n\nthing   =   (\n    1)\n",
        "thing = 1\n'''What thing is.'''\n",
    ],
)
def test_comments_docstrings_and_formatting_do_not_count(toy, text):
    before = digest()
    toy.write("c", text)
    assert digest() == before


def test_the_docstring_of_a_function_does_not_count_but_its_body_does(toy):
    texts = [
        "def thing():\n    return 'a'\n",
        "def thing():\n    'Doc.'\n    return 'a'  # why\n",
        "def thing():\n    return 'b'\n",
        "def thing():\n    return b'a'\n",
        "async def thing():\n    return 'a'\n",
    ]
    digests = []
    for text in texts:
        toy.write("c", text)
        digests.append(digest())
    assert digests[0] == digests[1]
    assert len(set(digests)) == 4


def test_the_version_of_a_library_counts_without_its_local_part(toy, tmp_path):
    install(tmp_path, "toylib", "1.0+cpu")
    toy.write("c", "def f():\n    import toylib.part\n")
    before = fingerprint(["toy.a"])
    assert before.libraries == {"numpy": metadata.version("numpy"), "toylib": "1.0"}
    install(tmp_path, "toylib", "1.0+cuda")
    assert digest() == before.digest
    install(tmp_path, "toylib", "1.1")
    assert digest() != before.digest


def test_a_library_under_another_name_than_its_module_is_resolved(toy):
    toy.write("a", "import sklearn.metrics\nimport cv2\nimport os\n")
    libraries = fingerprint(["toy.a"]).libraries
    assert set(libraries) == {"scikit-learn", "opencv-python-headless"}


def test_a_library_that_is_not_installed_has_no_version(toy):
    toy.write("a", "import toy_not_installed\n")
    assert fingerprint(["toy.a"]).libraries == {"toy_not_installed": None}


def test_the_remains_of_an_uninstalled_library_are_ignored(toy, tmp_path):
    (tmp_path / "toylib.py").touch()
    (tmp_path / "~oylib.dist-info").mkdir()
    (tmp_path / "~oylib.dist-info/RECORD").write_text("toylib.py,,\n")
    toy.write("a", "import toylib\n")
    assert fingerprint(["toy.a"]).libraries == {"toylib": None}


def test_an_unknown_entry_is_an_error(toy):
    with pytest.raises(ModuleNotFoundError, match=r"toy\.nowhere"):
        fingerprint(["toy.nowhere"])


def test_plugins_in_use_are_added_for_the_kinds_that_are_loaded(toy):
    toy.write("a", "from consilience.core import registry\nregistry.get('modalities', name)\n")
    modules = toy.modules(modalities=["gsr"], methods=["kd"])
    assert "consilience.modalities.gsr" in modules
    assert "consilience.modalities.eeg" not in modules
    assert "consilience.methods.kd" not in modules


@pytest.mark.parametrize(
    "text",
    [
        "from consilience.core.registry import get as lookup\nlookup('modalities', name)\n",
        "import consilience.core.registry\nconsilience.core.registry.get('modalities', name)\n",
        "import consilience.core.registry as plugins\nplugins.get('modalities', name)\n",
        "from consilience.core import registry\n\ndef f(kind):\n    registry.get(kind, name)\n",
        "from consilience.core import registry\nregistry.get(kind='modalities', name=name)\n",
    ],
)
def test_the_registry_is_recognised_under_any_name_and_for_any_kind(toy, text):
    toy.write("a", text)
    assert "consilience.modalities.gsr" in toy.modules(
        modalities=["gsr"], methods=[], datasets=[], encoders=[]
    )


def test_a_literal_name_adds_that_plugin_alone(toy):
    toy.write("a", "from consilience.core import registry\nregistry.get('modalities', 'gsr')\n")
    modules = toy.modules(modalities=["ppg"])
    assert "consilience.modalities.gsr" in modules
    assert "consilience.modalities.ppg" not in modules


def test_a_name_of_a_family_adds_the_module_of_the_family(toy):
    call = "from consilience.core import registry\nregistry.{}('modalities', name)\n"
    toy.write("a", call.format("get"))
    module = "consilience.modalities.feature_table"
    assert module in toy.modules(modalities=["ecg_features"], encoders=[], inputs=[])
    toy.write("a", call.format("params"))
    modules = toy.modules(modalities=["ecg_features"], encoders=[], inputs=[])
    assert module not in modules
    assert "consilience.modalities.params.feature_table" in modules


def test_a_kind_whose_plugins_are_not_stated_counts_as_a_whole(toy):
    toy.write("a", "from consilience.core import registry\nregistry.get('methods', name)\n")
    every = {f"consilience.methods.{name}" for name in registry.names("methods")}
    assert every <= toy.modules()


def test_code_that_lists_plugins_depends_on_their_names(toy, monkeypatch):
    toy.write("a", "from consilience.core import registry\nregistry.names('modalities')\n")
    before = fingerprint(["toy.a"])
    assert before.plugins == {"modalities": registry.names("modalities")}
    monkeypatch.setattr(registry, "names", lambda kind: ["gaze"])
    assert digest() != before.digest


def test_encoders_count_only_where_they_are_in_use(toy):
    toy.write("a", "from consilience.core import registry\nregistry.get('modalities', 'log_mel')\n")
    encoders = {"consilience.encoders.spectrogram", "consilience.encoders.functionals"}
    assert not encoders & toy.modules(encoders=[])
    assert encoders & toy.modules(encoders=["spectrogram"]) == {"consilience.encoders.spectrogram"}
    assert encoders <= toy.modules()


def test_a_plugin_of_another_package_counts_with_all_it_imports(toy, tmp_path):
    package = tmp_path / "my_sensors"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "gaze.py").write_text("from my_sensors import optics\n")
    (package / "optics.py").write_text("focus = 1\n")
    info = tmp_path / "my_sensors.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-sensors\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[consilience.modalities]\ngaze = my_sensors.gaze:m\n")
    toy.write("a", "from consilience.core import registry\nregistry.get('modalities', name)\n")
    assert {"my_sensors", "my_sensors.gaze", "my_sensors.optics"} <= toy.modules(
        modalities=["gaze"]
    )
    assert "my_sensors" not in sys.modules
    before = fingerprint(["toy.a"], {"modalities": ["gaze"]}).digest
    (package / "optics.py").write_text("focus = 2\n")
    assert fingerprint(["toy.a"], {"modalities": ["gaze"]}).digest != before


@pytest.mark.parametrize(
    "text",
    [
        "from pathlib import Path\npage = Path(__file__).parent / 'pages/page.html'\n",
        "from importlib.resources import files\npage = files('toy') / 'pages/page.html'\n",
        "import jinja2\nloader = jinja2.PackageLoader('toy', 'pages')\n",
    ],
)
def test_data_files_count_for_the_modules_that_read_them(toy, text):
    page = toy.folder / "toy/pages/page.html"
    page.parent.mkdir()
    page.write_text("one")
    toy.write("c", text)
    before, aside = digest(), digest("toy.aside")
    page.write_text("two")
    assert digest() != before
    assert digest("toy.aside") == aside


def test_the_document_names_every_module_and_library(toy):
    document = fingerprint(["toy.a"]).document()
    assert json.loads(json.dumps(document)) == document
    assert list(document["modules"]) == ["toy", "toy.a", "toy.b", "toy.c"]
    assert document["libraries"] == {"numpy": metadata.version("numpy")}
    assert document["digest"] == digest()


def test_a_method_depends_on_its_losses():
    modules = CodeBase().closure(["consilience.methods.kd"]).sources
    assert "consilience.model.losses" in modules
    assert "consilience.core.isolation" not in modules


@pytest.fixture
def kept(toy: Toy, tmp_path: Path) -> Path:
    """Return a store with the fingerprint of a module that uses a library and a data file."""
    install(tmp_path, "toylib", "1.0")
    toy.write("b", "from toy import page\nimport toylib\npath = __file__\n")
    (tmp_path / "toy/page.html").write_text("one")
    fingerprint(["toy.a"], {}, tmp_path / "store")
    return tmp_path / "store"


def test_a_kept_fingerprint_is_returned_without_reading_a_module(kept, monkeypatch):
    computed = fingerprint(["toy.a"])
    monkeypatch.setattr(CodeBase, "closure", lambda *_: pytest.fail("read"))
    assert fingerprint(["toy.a"], {}, kept) == computed


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("toy/b.py", "from toy import page\nimport toylab\npath = __file__\n"),
        ("toy/page.py", ""),  # hides an attribute
        ("toy/page/__init__.py", ""),
        ("toy/page.html", "two"),
        ("toylib.dist-info/METADATA", "Metadata-Version: 2.1\nName: toylib\nVersion: 1.1\n"),
        ("toylib.dist-info/METADATA", "Metadata-Version: 2.1\nName: toylob\nVersion: 1.0\n"),
    ],
)
def test_a_change_replaces_the_kept_fingerprint(kept, tmp_path, file, text):
    before, path = digest(), tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))  # whatever the clock's tick
    assert before != digest()
    assert fingerprint(["toy.a"], {}, kept) == fingerprint(["toy.a"])


def test_a_kept_fingerprint_belongs_to_its_modules_and_plugins(toy, tmp_path):
    toy.write("a", "from consilience.core import registry\nregistry.get('modalities', name)\n")
    asked = [(["toy.a"], {"modalities": [name]}) for name in ("gsr", "ppg")] + [(["toy.d"], {})]
    for entries, plugins in asked * 2:
        assert fingerprint(entries, plugins, tmp_path) == fingerprint(entries, plugins)


def test_a_damaged_kept_fingerprint_is_computed_again(kept):
    for path in kept.iterdir():
        path.write_text(path.read_text().replace('"1.0"', '"1.1"'))
    assert fingerprint(["toy.a"], {}, kept) == fingerprint(["toy.a"])


def test_a_plugin_of_another_package_is_part_of_what_is_kept(toy, tmp_path):
    (tmp_path / "my_sensors.py").write_text("focus = 1\n")
    info = tmp_path / "my_sensors.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-sensors\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[consilience.modalities]\ngaze = my_sensors:m\n")
    toy.write("a", "from consilience.core import registry\nregistry.get('modalities', name)\n")
    asked, store = (["toy.a"], {"modalities": ["gaze"]}), tmp_path / "store"
    before = fingerprint(*asked, store)
    assert before == fingerprint(*asked, store)
    (tmp_path / "my_sensors.py").write_text("focus = 12\n")
    assert before != fingerprint(*asked, store) == fingerprint(*asked)
    (info / "entry_points.txt").write_text("[consilience.modalities]\nlook = my_sensors:m\n")
    assert "my_sensors" not in fingerprint(*asked, store).modules
