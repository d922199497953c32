"""Every fault is caught by its check, and the message names the remedy.

The good ones are those of docs/adding-a-modality.md and docs/adding-a-dataset.md; a fault is a
change in their text.
"""

# ruff: noqa: E501 - a fault a line

from __future__ import annotations

import importlib.util
import runpy
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from consilience.core import registry
from consilience.core.seeds import generator
from consilience.scaffold import KINDS, TEMPLATES
from consilience.testing import (
    DATASET_CHECKS,
    MODALITY_CHECKS,
    ContractError,
    DatasetCase,
    ModalityCase,
    check_dataset,
    check_modality,
    name_of,
    rules,
)

ROOT = Path(__file__).parents[2]
NEWCOMER = runpy.run_path(str(ROOT / "tests/test_scaffold.py"))
CHECKS = {name_of(check): check for check in MODALITY_CHECKS}
DATASET = {name_of(check): check for check in DATASET_CHECKS}


@pytest.fixture(scope="session")
def sources(tmp_path_factory) -> dict[str, str]:
    """Follow both pages, and return the text of the files, by name."""
    folder, texts = tmp_path_factory.mktemp("pages"), {}
    for kind, name in (("modality", "gaze"), ("dataset", "callcentre")):
        page = (ROOT / f"docs/adding-a-{kind}.md").read_text()
        for (path, code), template in zip(
            NEWCOMER["instructions"](page, name).items(), (kind, f"test_{kind}"), strict=True
        ):
            file = folder / Path(path).name
            file.write_text(
                (TEMPLATES / f"{template}.txt")
                .read_text()
                .replace("NAME", name)
                .replace("Title", name.capitalize())
                .replace(f"consilience.{KINDS[kind]}.{name}", name)
            )
            NEWCOMER["fill_in"](file, code)
            texts[file.stem] = file.read_text()
    return texts


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    monkeypatch.setenv("CONSILIENCE_WORKERS", "1")
    monkeypatch.setenv("CONSILIENCE_LIMIT_S", "inf")


@pytest.fixture
def build(tmp_path, monkeypatch):
    def make(name: str, text: str) -> ModuleType:
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return make


@pytest.fixture
def gaze(sources, build, tmp_path):
    """Return a maker of the modality with a change in its text, and examples."""

    def make(old: str = "", new: str = "") -> ModalityCase:
        assert old in sources["gaze"]
        modality = build("gaze", sources["gaze"].replace(old, new)).modality
        write_example = build("test_gaze", sources["test_gaze"]).write_example
        paths = [tmp_path / "a.csv", tmp_path / "b.csv"]
        for path in paths:
            write_example(path, generator(path.name))
        return ModalityCase(modality, [(path, None) for path in paths])

    return make


@pytest.fixture
def callcentre(sources, build, tmp_path):
    def make(old: str = "", new: str = "") -> DatasetCase:
        assert old in sources["callcentre"]
        dataset = build("callcentre", sources["callcentre"].replace(old, new)).dataset
        root = tmp_path / "calls"
        root.mkdir()
        build("test_callcentre", sources["test_callcentre"]).write_root(root)
        (root / "notes.csv").write_text("call,remark\n1,loud\n")
        return DatasetCase(dataset, root)

    return make


def test_the_good_ones_pass(gaze, callcentre):
    case = gaze()
    check_modality(case.modality, case.examples)
    good = callcentre()
    check_dataset(good.dataset, good.root)


FEATURES = "return Features(values, centres_s, FEATURES, quality)"
NOISE = "fraction * np.nanstd(samples, axis=0) * rng.standard_normal(samples.shape)"
READ = "table = pl.read_csv(path)"
CORRUPT = "return replace(signal, values=APPLY[kind](signal.values, level, rng))"
PROBE = "rate_hz = float(1 / np.median(np.diff(times_s)))"
OVERRIDE = f"""{CORRUPT}

    def encoder(self, n_features, width, dropout, **encoding):
        """
FLATTEN = """import torch
        class Flat(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.out = torch.nn.LazyLinear(width)
            def forward(self, inputs):
                return {forward}
        return Flat()
"""

MODALITY_FAULTS = {
    "capital suffix": ('SUFFIXES = (".csv",)', 'SUFFIXES = (".CSV",)', "name_and_suffixes"),
    "odd name": ('= "gaze"', '= "Eye gaze"', "name_and_suffixes"),
    "no default": ("hop_s: float = Field(0.1, ", "hop_s: float = Field(", "parameters"),
    "any key taken": ("    hop_s: float", '    model_config = {"extra": "allow"}\n    hop_s: float', "parameters"),
    "no noise": ("default_corruptions(CORRUPTIONS)", "{}", "parameters"),
    "duration in ms": ("float(times_s[-1] - times_s[0]))", "1000 * float(times_s[-1]))", "header"),
    "rate of 0": (PROBE, "rate_hz = 0.0", "header"),
    "identity by place": ("return content_hash(path)", "return content_hash(path)[:32] + f'{abs(hash(str(path))):032x}'", "identity"),
    "identity of nothing": ("return content_hash(path)", "return 64 * '0'", "identity"),
    "float32 times": ("np.asarray(times_s, np.float64)", "np.asarray(times_s, np.float32)", "signal"),
    "channel twice": ('CHANNELS = ("x_px", "y_px"', 'CHANNELS = ("x_px", "x_px"', "signal"),
    "float64 features": ("np.nan, np.float32)", "np.nan, np.float64)", "features"),
    "infinite features": (FEATURES, f"values[3] = np.inf\n        {FEATURES}", "features"),
    "quality above 1": ('"quality": float(good.mean())', '"quality": 100 * float(good.mean())', "features"),
    "no quality": (', "quality": float(good.mean())', "", "features"),
    "a name too many": (FEATURES, FEATURES.replace("FEATURES", '(*FEATURES, "z")'), "features"),
    "another clock": ("centres_s = start_s", "centres_s = 100 + start_s", "features"),
    "wrong rate": ("return 1 / self.hop_s", "return self.hop_s", "frame_rate"),
    "ability missing": ("class Gaze(Modality):", "class Gaze:", "abilities"),
    "no such feature": ("    def identity(", "    activity_feature = 'loudness'\n\n    def identity(", "abilities"),
    "sound at another rate": ("    def identity(", "    def sound(self, path, item, rate_hz):\n        return Signal(np.zeros(99, np.float32), np.arange(99) / 44100, ('mono',))\n\n    def identity(", "abilities"),
    "no unit": ('"valid_fraction"', '"validity"', "quality"),
    "chance in features": (FEATURES, f"values[0] = np.random.rand()\n        {FEATURES}", "determinism"),
    "chance in corrupt": ("rng.standard_normal(", "np.random.standard_normal(", "determinism"),
    "signal changed": (CORRUPT, f"signal.values[0] = 0\n        {CORRUPT}", "determinism"),
    "finding of two lines": ("    def identity(", "    def inspect(self, path, item):\n        return ['two\\nlines']\n\n    def identity(", "inspection"),
    "other exception": ("except Exception as error", "except ZeroDivisionError as error", "damaged_files"),
    "NaN unexpected": ("if not good.any():", "if False:", "odd_signals"),
    "short unexpected": ("if len(signal.times_s) < 2:", "if signal.times_s[1] < signal.times_s[0]:", "odd_signals"),
    "times shifted": (CORRUPT, "return replace(signal, times_s=signal.times_s + 1)", "corruptions_keep_form"),
    "samples dropped": (CORRUPT, "return Signal(signal.values[::2], signal.times_s[::2], CHANNELS)", "corruptions_keep_form"),
    "corruption without effect": (NOISE, "0 * samples", "corruptions_grow"),
    "corruption that shrinks": (NOISE, NOISE.replace("fraction", "0.1 / fraction"), "corruptions_grow"),
    "wrong width": (CORRUPT, OVERRIDE + "return super().encoder(n_features, width + 1, dropout)", "encoder"),
    "infinite gradient": (CORRUPT, OVERRIDE + FLATTEN.format(forward="(self.out(inputs) * 0).sqrt()"), "encoder"),
    "pickle read": (READ, "import pickle\n    pickle.loads(path.read_bytes()) if path.read_bytes()[:1] == b'\\x80' else 0\n    table = pl.read_csv(path)", "no_pickle"),
    "objects allowed": (READ, "np.load(path, allow_pickle=True) if path.read_bytes()[:1] == b'\\x93' else 0\n    table = pl.read_csv(path)", "no_pickle"),
}  # fmt: skip


@pytest.mark.parametrize("fault", MODALITY_FAULTS)
@pytest.mark.filterwarnings("ignore")
def test_a_faulty_modality_is_caught(fault, gaze):
    old, new, check = MODALITY_FAULTS[fault]
    with pytest.raises(ContractError) as caught:
        CHECKS[check](gaze(old, new))
    what, _, remedy = str(caught.value).partition("; ")
    assert what
    assert remedy


INPUT_FAULTS = {
    "NaN in the inputs": lambda windows: windows.mean(axis=1),
    "float64 inputs": lambda windows: np.nan_to_num(windows).mean(axis=1, dtype=np.float64),
    "windows compared": lambda windows: np.nan_to_num(windows[:, 0] - windows[:1, 0]),
    "no shape without windows": lambda windows: np.nan_to_num(windows[:, : len(windows), 0]),
}


@pytest.mark.parametrize("fault", INPUT_FAULTS)
def test_a_faulty_function_of_model_inputs_is_caught(fault, gaze, monkeypatch):
    monkeypatch.setattr(registry, "get", lambda kind, name: INPUT_FAULTS[fault])
    with pytest.raises(ContractError, match=r"inputs 'functionals' (made|gives)"):
        CHECKS["inputs"](gaze())


ENTRY = "yield Entry(session, caller, modality, name), ["
WALK = 'sorted(root.glob("*/*.wav"))'
READ_NOTES = '    notes = root / "notes.csv"\n    if notes.is_file():\n        {}\n    for path in'
ROW = 'annotation(session, annotator, "emotion", label)'
DATASET_FAULTS = {
    "odd name": ('= "callcentre"', '= "Call centre"', "description"),
    "class twice": ('CLASSES = ("angry", "calm")', 'CLASSES = ("calm", "calm")', "description"),
    "unknown clock": ('CLOCK = "shared"', 'CLOCK = "quartz"', "description"),
    "unknown modality": ('MODALITIES = ("audio",', 'MODALITIES = ("smell",', "description"),
    "unknown section": ('"windows": {', '"window": {', "description"),
    "label no class": ('emotion(session, mood, "l', 'emotion(session, "bored", "l', "tables"),
    "annotations elsewhere": ("[emotion(session,", '[emotion("x" + session,', "tables"),
    "time backwards": (ROW, f'{ROW} | {{"start_s": float("inf")}}', "tables"),
    "wrong columns": (ROW, f'{ROW} | {{"value": "much"}}', "tables"),
    "session twice": ('session = f"{caller}_{path.stem}"', "session = path.stem", "ids"),
    "session as path": ('session = f"{caller}_', 'session = f"../{caller}_', "ids"),
    "bad channels as text": (ENTRY, ENTRY.replace("name)", 'name, bad_channels=("Cz, Pz",))'), "ids"),
    "path out": (ENTRY, ENTRY.replace("name)", 'f"../{root.name}/{name}")'), "paths"),
    "path absolute": (ENTRY, ENTRY.replace("name)", "str(path.resolve()))"), "paths"),
    "no such file": (ENTRY, ENTRY.replace("name)", 'name + ".wav")'), "paths"),
    "wrong kind": (ENTRY, ENTRY.replace("modality, name)", '"video", name)'), "paths"),
    "order of the disk": (WALK, 'root.glob("*/*.wav")', "determinism"),
    "place in the session": ('session = f"{caller}', 'session = f"{root.name}-{caller}', "relocation"),
    "folder changed": ("    for path in", '    (root / "index").write_text("")\n    for path in', "relocation"),
    "other exception": ("    for path in", '    next(root.glob("*/*.wav")).stat()\n    for path in', "empty_folder"),
    "garbage unexpected": ("    for path in", READ_NOTES.format("int(notes.read_text().splitlines()[1][0])"), "damaged_files"),
    "links followed": (WALK, "sorted(Path(p) for p in __import__('glob').glob(f'{root}/**/*.wav', recursive=True))", "odd_names"),
    "pickle read": ("    for path in", READ_NOTES.format("__import__('pickle').loads(notes.read_bytes()) if notes.read_bytes()[:1] == b'\\x80' else 0"), "no_pickle"),
}  # fmt: skip


@pytest.mark.parametrize("fault", DATASET_FAULTS)
def test_a_faulty_dataset_is_caught(fault, callcentre):
    old, new, check = DATASET_FAULTS[fault]
    with pytest.raises(ContractError) as caught:
        DATASET[check](callcentre(old, new))
    what, _, remedy = str(caught.value).partition("; ")
    assert what
    assert remedy


def test_a_link_out_that_is_used_is_caught(callcentre, monkeypatch):
    case = callcentre()
    monkeypatch.setattr(Path, "is_relative_to", lambda *_: True)
    with pytest.raises(ContractError, match="a link out of the root, is used"):
        DATASET["links_out"](case)


def test_without_hypothesis_the_remedy_is_named(gaze, monkeypatch):
    def fail(name: str) -> None:
        raise ImportError(name)

    case = gaze()
    monkeypatch.setattr(rules.importlib, "import_module", fail)
    with pytest.raises(ContractError, match=r"pip install 'consilience\[dev\]'"):
        CHECKS["odd_signals"](case)


def test_every_check_has_a_fault():
    caught = {check for _, _, check in MODALITY_FAULTS.values()}
    assert caught | {"inputs"} == set(CHECKS)  # `INPUT_FAULTS`
    caught = {check for _, _, check in DATASET_FAULTS.values()}
    assert caught | {"links_out", "catalog"} == set(DATASET)


def test_unusable_recordings_are_caught(callcentre):
    case = callcentre()
    for path in case.root.rglob("*.wav"):
        path.write_bytes(b"RIFF")
    with pytest.raises(ContractError, match="no recording of 'audio' is usable"):
        DATASET["catalog"](case)


def test_the_example_writes_what_the_device_does(gaze):
    values = gaze().signals[0].values
    assert np.isnan(values[100:110]).all()
