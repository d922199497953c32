"""Light parameter modules: one for each built-in method, without a heavy import."""

import importlib
import json
import subprocess
import sys

import pytest

from consilience.core import registry
from consilience.methods.params import __path__ as folder
from consilience.schema.params.plugins import MethodParams

NAMES = registry.names("methods")
HEAVY = ("torch", "mne", "librosa", "cv2", "av", "scipy.signal", "onnxruntime")


def test_the_folder_of_parameters_is_not_a_method() -> None:
    assert "params" not in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_method_uses_the_class_of_its_light_module(name: str) -> None:
    light = importlib.import_module(f"consilience.methods.params.{name}").Params
    assert issubclass(light, MethodParams)
    assert registry.get("methods", name).Params is light


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_has_a_default_and_a_description(name: str) -> None:
    light = importlib.import_module(f"consilience.methods.params.{name}").Params
    light()
    assert all(field.description for field in light.model_fields.values())


def test_no_parameter_module_imports_a_heavy_library() -> None:
    code = f"""
import importlib, json, pkgutil, sys
for module in pkgutil.iter_modules({list(folder)!r}):
    importlib.import_module("consilience.methods.params." + module.name)
print(json.dumps(sorted(set({HEAVY!r}) & set(sys.modules))))
"""
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert json.loads(output) == []
