"""The Python of docs/reference.md runs in the folder of a reproduced study."""

from __future__ import annotations

import re
import shutil
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from consilience.core import study

if TYPE_CHECKING:
    from conftest import ProjectCopy

PAGE = (Path(__file__).parents[1] / "docs/reference.md").read_text()
NAMES = re.findall(r"^\| `(consilience\.[\w.]+)` \|", PAGE, re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_exists_and_is_documented(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    thing = getattr(import_module(module), attribute, None) or import_module(name)
    assert thing.__doc__


@pytest.mark.slow
def test_its_code_runs_from_top_to_bottom(
    demo: ProjectCopy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(demo.folder, tmp_path / "my-study")
    monkeypatch.setenv(study.VARIABLE, str(tmp_path / "my-study"))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(code, "docs/reference.md", "exec"), names)
    predicted = names["predicted"].windows
    assert predicted.height >= names["windows"].height > 10
    table = names["table"].sort("window")
    same = predicted.join(table.select("window"), on="window", how="semi").sort("window")
    assert_frame_equal(same.select(pl.col("predicted")), table.select("predicted"))
