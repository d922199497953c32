from __future__ import annotations

import pytest
from ruamel.yaml import YAML

from consilience import params
from consilience.core.errors import ConsilienceError


@pytest.fixture
def content():
    return params.defaults("demo")


def test_the_defaults_are_valid(content):
    assert params.parse(content).dataset.name == "demo"


def test_the_document_gives_the_same_parameters(content, tmp_path):
    content["windows"]["length_s"] = None
    path = tmp_path / "params.yaml"
    path.write_text(params.document(content))
    assert params.load(path).windows.length_s is None
    assert params.load(path).modalities["eeg"] == params.parse(content).modalities["eeg"]


def test_a_misspelt_parameter_is_named_with_the_nearest_valid_one(content):
    content["windows"]["lenght_s"] = content["windows"].pop("length_s")
    with pytest.raises(ConsilienceError, match=r"windows\.lenght_s; did you mean 'length_s'"):
        params.parse(content)


def test_a_misspelt_parameter_of_a_modality_is_named(content):
    content["modalities"]["audio"]["hop"] = content["modalities"]["audio"].pop("hop_s")
    with pytest.raises(ConsilienceError, match=r"modalities\.audio\.hop; did you mean 'hop_s'"):
        params.parse(content)


def test_an_unknown_section_is_an_error(content):
    content["windwos"] = {}
    with pytest.raises(ConsilienceError, match="windwos; did you mean 'windows'"):
        params.parse(content)


def test_an_unknown_modality_is_an_error_with_the_available_ones(content):
    content["modalities"]["egg"] = {}
    message = r"unknown modality 'egg' \(did you mean 'eeg'\?.*audio"
    with pytest.raises(ConsilienceError, match=message):
        params.parse(content)


@pytest.mark.parametrize(
    ("section", "name"), [("windows", "hop_s"), ("training", "epochs"), ("dataset", "root")]
)
def test_an_unstated_parameter_is_an_error(content, section, name):
    del content[section][name]
    with pytest.raises(ConsilienceError, match=rf"parameter {section}\.{name} is missing"):
        params.parse(content)


def test_an_unstated_parameter_of_a_modality_is_an_error(content):
    del content["modalities"]["audio"]["hop_s"]
    with pytest.raises(ConsilienceError, match=r"parameter modalities\.audio\.hop_s is missing"):
        params.parse(content)


def test_a_value_out_of_range_is_an_error_with_the_value(content):
    content["windows"]["min_coverage"] = 1.5
    with pytest.raises(ConsilienceError, match=r"windows\.min_coverage = 1\.5: .*less than"):
        params.parse(content)


def refusal(path, text: str) -> str:
    """Return the message, one line, that refuses a file of parameters."""
    path.write_text(text)
    with pytest.raises(ConsilienceError) as caught:
        params.load(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "a: [1", "just words"])
def test_a_file_without_a_mapping_is_an_error_of_one_line(tmp_path, text):
    refusal(tmp_path / "params.yaml", text)


def test_a_missing_file_is_an_error_with_a_remedy(tmp_path):
    with pytest.raises(ConsilienceError, match="consilience init"):
        params.load(tmp_path / "params.yaml")


def test_a_dataset_without_a_root_is_an_error():
    with pytest.raises(ConsilienceError, match="--root"):
        params.defaults("ravdess")


def test_a_datasets_default_modalities_and_others_on_request():
    assert list(params.defaults("ravdess", "x")["modalities"]) == ["voice_embedding", "face_au"]
    asked = ["lower_face_au", "audio"]
    assert list(params.defaults("ravdess", "x", asked)["modalities"]) == asked
    with pytest.raises(ConsilienceError, match=r"'ravdess' does not offer 'eeg'.*upper_face_au"):
        params.defaults("ravdess", "x", ["eeg"])


def test_a_derived_modality_takes_its_fields_of_the_source_preset():
    demo = params.defaults("demo", modalities=["eeg_signal", "log_mel"])["modalities"]
    assert list(demo) == ["eeg_signal", "log_mel"]
    dasps = params.defaults("dasps", "x", ["eeg_signal"])["modalities"]
    assert dasps["eeg_signal"]["channels"][0] == "AF3"
    with pytest.raises(ConsilienceError, match="'dasps' does not offer 'log_mel'"):
        params.defaults("dasps", "x", ["log_mel"])


def test_an_unknown_corruption_is_an_error_with_the_available_ones(content):
    content["modalities"]["audio"]["corruptions"]["hiss"] = [1, 2, 3, 4, 5]
    with pytest.raises(
        ConsilienceError, match=r"audio\.corruptions.*unknown kind 'hiss'; known: noise"
    ):
        params.parse(content)


@pytest.mark.parametrize("delays", [[0.1, 0.1, 0.5, 1, 2], [0, 0.1, 0.5, 1, 2], [0.1, 0.5, 1, 2]])
def test_delays_must_rise_from_above_zero(content, delays):
    content["windows"]["desync_s"] = delays
    with pytest.raises(ConsilienceError, match=r"windows\.desync_s"):
        params.parse(content)


NAMES = [
    "x; touch owned",
    "../../pipeline",
    "$(id)",
    "`id`",
    "Eeg",
    "1eeg",
    "eeg'",
    "é",
    "",
    7,
    None,
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", ["modalities", "methods", "dataset.synthetic", "dataset.name"])
def test_a_name_that_a_shell_or_a_path_could_read_is_an_error(content, tmp_path, name, place):
    section, _, key = place.partition(".")
    if not key:
        content[section] = {name: {}}
    else:
        content[section][key] = name if key == "name" else [name]
    path = tmp_path / "params.yaml"
    with path.open("w") as file:
        YAML().dump(content, file)
    with pytest.raises(ConsilienceError, match="invalid name"):
        params.load(path)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\n"
        + "".join(
            f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
            for old, new in zip("bcdefg", "cdefgh", strict=True)
        ),
        "[" * 5000,
        "a: " + "9" * 5000,
        "a: !!python/object/apply:os.system [id]",
        "a: \x00",
        "x" * 2_000_000,
    ],
    ids=["repeats itself", "deep", "number", "object", "control", "large"],
)
def test_a_hostile_file_is_one_line(tmp_path, text):
    assert len(refusal(tmp_path / "params.yaml", text)) < 600


def test_a_file_that_is_not_text_is_one_line(tmp_path):
    (tmp_path / "params.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConsilienceError, match="not valid YAML"):
        params.load(tmp_path / "params.yaml")
