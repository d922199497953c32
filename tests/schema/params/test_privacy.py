import pytest

from consilience.schema.params.privacy import PrivacyParams


def test_faces_are_left_out_unless_they_are_asked_for() -> None:
    assert PrivacyParams().no_faces
    assert not PrivacyParams().pseudonyms


def test_an_unknown_setting_is_an_error() -> None:
    with pytest.raises(ValueError, match="faces"):
        PrivacyParams(faces=True)
