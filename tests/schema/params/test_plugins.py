from typing import ClassVar

import pytest

from consilience.schema.params.plugins import (
    Corruption,
    MethodParams,
    ModalityParams,
    Severities,
    default_corruptions,
)

KINDS = {
    "noise": Corruption("SNR in dB", (20, 10, 5, 0, -5), (-20, 40)),
    "loss": Corruption("share lost", (0.1, 0.2, 0.3, 0.4, 0.5), (0, 1)),
}


class Belt(ModalityParams):
    CORRUPTION_KINDS: ClassVar = KINDS
    corruptions: dict[str, Severities] = default_corruptions(KINDS)
    frame_rate_hz: float = 10.0


def test_the_default_is_noise_and_the_description_lists_all_kinds() -> None:
    assert Belt().corruptions == {"noise": (20, 10, 5, 0, -5)}
    assert "known: noise, loss" in str(Belt.model_fields["corruptions"].description)


def test_variants_are_named_by_kind_and_severity() -> None:
    belt = Belt(corruptions={"loss": (0.1, 0.2, 0.3, 0.4, 0.5)})
    assert belt.variants == ("loss_1", "loss_2", "loss_3", "loss_4", "loss_5")
    assert Belt(corruptions={}).variants == ()


@pytest.mark.parametrize(
    ("corruptions", "message"),
    [
        ({"hum": (1, 2, 3, 4, 5)}, "unknown kind 'hum'; known: noise, loss"),
        ({"loss": (0.1, 0.2, 0.3, 0.4, 1.5)}, "share lost must lie in 0 to 1"),
        ({"loss": (0.5, 0.4, 0.3, 0.2, 0.1)}, "must go from mild to hard"),
        ({"noise": (-5, 0, 5, 10, 20)}, "must go from mild to hard"),
        ({"noise": (20, 20, 5, 0, -5)}, "must go from mild to hard"),
        ({"noise": (20, 10, 5)}, "noise"),
    ],
)
def test_invalid_corruptions_are_errors(corruptions: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Belt(corruptions=corruptions)


def test_unknown_keys_are_errors() -> None:
    for params in (Belt, MethodParams):
        with pytest.raises(ValueError, match="Extra inputs are not permitted"):
            params(width=3)
