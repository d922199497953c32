from email.message import Message

import pytest

from benchmarks import notice


def test_the_notice_lists_every_locked_package() -> None:
    text = (notice.ROOT / "NOTICE").read_text()
    lines = {tuple(line.split()[:2]) for line in text.splitlines() if line.strip()}
    assert set(notice.locked()) <= lines


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ({"License-Expression": "MIT"}, "MIT"),
        ({"Classifier": "License :: OSI Approved :: BSD License"}, "BSD License"),
        ({"License": "MIT\nlong text"}, "MIT"),
        ({}, "see the package"),
    ],
)
def test_a_licence_is_read_from_the_metadata(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, str], licence: str
) -> None:
    message = Message()
    for key, value in fields.items():
        message[key] = value
    monkeypatch.setattr(notice.metadata, "metadata", lambda name: message)
    assert notice.licence("any") == licence
