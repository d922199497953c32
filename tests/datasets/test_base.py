"""Modalities of a dataset, and datasets that depend on their folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from consilience.datasets.base import bind_to_root, source_modality


class Fixed:
    modalities = ("audio", "face_au")


class OfFolder:
    modalities = ()

    def at(self, root: Path) -> Fixed:
        assert root == Path("root")
        return Fixed()


@pytest.mark.parametrize(
    ("modality", "source"),
    [
        ("audio", "audio"),
        ("log_mel", "audio"),  # another representation of the same recordings
        ("eeg", None),
        ("unknown", None),
    ],
)
def test_a_modality_is_listed_under_itself_or_the_one_it_reads(modality, source):
    assert source_modality(Fixed(), modality) == source


def test_a_dataset_is_bound_to_its_folder_if_it_depends_on_it():
    fixed = Fixed()
    assert bind_to_root(fixed, Path("root")) is fixed
    assert bind_to_root(OfFolder(), Path("root")).modalities == Fixed.modalities
