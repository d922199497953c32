from __future__ import annotations

import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from consilience import cli, params
from consilience.cli import app
from consilience.core import registry
from consilience.core.errors import ConsilienceError


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("name", ["eeg", "voice_embedding", "upper_face_au", "video"])
def test_what_is_shown_can_be_pasted(name: str) -> None:
    shown = YAML(typ="safe").load(run("corruptions", name))
    model = registry.get("modalities", name).Params
    assert model(**shown).corruptions.keys() == model.CORRUPTION_KINDS.keys()


def test_an_unknown_modality_is_an_error() -> None:
    with pytest.raises(ConsilienceError, match="did you mean 'eeg'"):
        run("corruptions", "egg")


def test_modalities_are_chosen_in_the_order_given(tmp_path: Path) -> None:
    run(
        "--project",
        str(tmp_path),
        "use",
        "ravdess",
        "--root",
        "x",
        "--modalities",
        "upper_face_au, audio",
    )
    assert list(params.load(tmp_path / "params.yaml").modalities) == ["upper_face_au", "audio"]


def test_what_the_system_refuses_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setattr(
        sys, "argv", ["consilience", "--project", str(blocked / "below"), "use", "demo"]
    )
    with pytest.raises(SystemExit):
        cli.main()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {blocked}")
