"""Light parameter modules: one for each built-in modality, without a heavy import."""

from __future__ import annotations

import importlib

import pytest

from consilience.core import registry
from consilience.modalities import face_au, feature_table, text
from consilience.modalities.params.audio import VoiceParams
from consilience.modalities.params.eeg_signal import EegSignalParams
from consilience.modalities.params.video import VideoParams
from consilience.schema.params.plugins import ModalityParams
from consilience.signals import (
    audio_corruptions,
    eeg_corruptions,
    single_channel_corruptions,
    video_corruptions,
)

MODULES = {"ecg_features": "feature_table"}  # of names that belong to a family
NAMES = [*registry.names("modalities"), *MODULES]
APPLIED_BY = {
    "acceleration": single_channel_corruptions,
    "audio": audio_corruptions,
    "ecg": single_channel_corruptions,
    "ecg_features": feature_table,
    "eeg": eeg_corruptions,
    "eeg_signal": eeg_corruptions,
    "face_au": face_au,
    "face_expression": video_corruptions,
    "gsr": single_channel_corruptions,
    "log_mel": audio_corruptions,
    "lower_face_au": face_au,
    "ppg": single_channel_corruptions,
    "temperature": single_channel_corruptions,
    "text": text,
    "upper_face_au": face_au,
    "video": video_corruptions,
    "voice_embedding": audio_corruptions,
}
FRAME_RATES_HZ = {
    "acceleration": 2.0,
    "audio": 50.0,
    "ecg": 2.0,
    "ecg_features": 1.0,
    "eeg": 4.0,
    "eeg_signal": 128.0,
    "face_au": None,
    "face_expression": 25.0,
    "gsr": 2.0,
    "log_mel": 50.0,
    "lower_face_au": None,
    "ppg": 2.0,
    "temperature": 2.0,
    "text": 5.0,
    "upper_face_au": None,
    "video": 25.0,
    "voice_embedding": 5.0,
}


def light(name: str) -> type[ModalityParams]:
    params: type[ModalityParams] = importlib.import_module(
        f"consilience.modalities.params.{MODULES.get(name, name)}"
    ).Params
    return params


@pytest.mark.parametrize("name", NAMES)
def test_a_modality_uses_the_class_of_its_light_module(name: str) -> None:
    assert issubclass(light(name), ModalityParams)
    assert registry.get("modalities", name).Params is light(name)


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_corruption_has_a_function(name: str) -> None:
    module = APPLIED_BY[name]
    functions = {**module.ADDED, **module.APPLIED} if module is eeg_corruptions else module.APPLY
    assert set(light(name).CORRUPTION_KINDS) == set(functions)


@pytest.mark.parametrize("name", NAMES)
def test_default_severities_are_accepted(name: str) -> None:
    kinds = light(name).CORRUPTION_KINDS
    light(name)(corruptions={kind: c.severities for kind, c in kinds.items()})


@pytest.mark.parametrize("name", NAMES)
def test_the_frame_rate_follows_from_the_defaults(name: str) -> None:
    assert light(name)().frame_rate_hz == FRAME_RATES_HZ[name]


def test_the_frame_rate_follows_the_parameters() -> None:
    assert VideoParams(frame_rate_hz=10).frame_rate_hz == 10
    assert VoiceParams(hop_s=0.01).frame_rate_hz == pytest.approx(100)
    assert EegSignalParams(rate_hz=100, hop_s=0.5).frame_rate_hz == 100


def test_modalities_that_read_sound_have_its_rate() -> None:
    with_sound = {name for name in NAMES if light(name)().sound_rate_hz}
    assert with_sound == {"audio", "log_mel", "voice_embedding"}
    assert VoiceParams(rate_hz=8000).sound_rate_hz == 8000


def test_encoders_are_named_without_an_import_of_the_sensor() -> None:
    named = {name: light(name).ENCODER for name in NAMES if light(name).ENCODER != "functionals"}
    assert named == {"eeg_signal": "signal_networks", "log_mel": "spectrogram"}


def test_model_inputs_are_named_without_an_import_of_the_sensor() -> None:
    named = {name: light(name).INPUTS for name in NAMES if light(name).INPUTS != "functionals"}
    assert named == {
        "eeg_signal": "samples",
        "face_au": "square_roots",
        "face_expression": "moments",
        "log_mel": "spectrogram",
        "lower_face_au": "square_roots",
        "text": "moments",
        "upper_face_au": "square_roots",
        "voice_embedding": "moments",
    }


def test_encodings_name_the_network_where_there_is_a_choice() -> None:
    chosen = {name: light(name)().encoding for name in NAMES if light(name)().encoding}
    assert set(chosen) == {"eeg_signal", "log_mel"}
    assert chosen["eeg_signal"] == {"network": "EEGNet", "rate_hz": 128.0}
