from __future__ import annotations

import pytest

from consilience.core import registry
from consilience.encoders.base import Encoder

NAMES = registry.names("encoders")


@pytest.mark.parametrize("name", NAMES)
def test_every_file_offers_an_encoder_class(name: str) -> None:
    encoder = registry.get("encoders", name)
    assert issubclass(encoder, Encoder)
    assert encoder.__module__ == f"consilience.encoders.{name}"


def test_every_modality_names_a_registered_encoder_and_some_modality_uses_each() -> None:
    used = {registry.params("modalities", name).ENCODER for name in registry.names("modalities")}
    assert used == set(NAMES)
