from __future__ import annotations

import pytest
from pydantic import ValidationError

from consilience.core import registry
from consilience.modalities.params.audio import AudioParams

MODALITIES = registry.names("modalities")


def test_shared_modules_are_not_modalities() -> None:
    assert {"audio", "upper_face_au"} < set(MODALITIES)
    assert not {name for name in MODALITIES if name.startswith("_")}
    assert not {"base", "params", "settings", "single_channel", "voice"} & set(MODALITIES)


@pytest.mark.parametrize("name", MODALITIES)
def test_every_kind_is_accepted_and_noise_is_the_default(name: str) -> None:
    model = registry.get("modalities", name).Params
    assert list(model().corruptions) == ["noise"]
    everything = model(
        corruptions={kind: c.severities for kind, c in model.CORRUPTION_KINDS.items()}
    )
    assert len(everything.variants) == 5 * len(model.CORRUPTION_KINDS)
    assert everything.variants[:2] == ("noise_1", "noise_2")
    assert all(
        kind in model.model_fields["corruptions"].description for kind in model.CORRUPTION_KINDS
    )


def test_corruptions_can_be_empty() -> None:
    assert AudioParams(corruptions={}).variants == ()


@pytest.mark.parametrize(
    ("corruptions", "message"),
    [
        ({"hiss": (1, 2, 3, 4, 5)}, "unknown kind 'hiss'; known: noise, babble"),
        ({"noise": (-5, 0, 5, 10, 20)}, "signal-to-noise ratio in dB must go from mild to hard"),
        ({"reverb": (0.2, 0.2, 0.7, 1.0, 1.5)}, "must go from mild to hard"),
        ({"packet_loss": (0.1, 0.2, 0.4, 0.8, 1.6)}, "must lie in 0 to 0.95"),
        ({"noise": (20, 10, 5, 0, float("nan"))}, "must lie in"),
        ({"noise": (20, 10, 5, 0)}, "Field required"),
    ],
)
def test_a_mistake_is_reported(corruptions: dict[str, tuple[float, ...]], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        AudioParams(corruptions=corruptions)
