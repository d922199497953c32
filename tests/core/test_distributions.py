"""Versions of installed distributions."""

from __future__ import annotations

from pathlib import Path

import pytest

from consilience.core.distributions import installed_version


@pytest.mark.parametrize(("stated", "expected"), [("2.13.0+cpu", "2.13.0"), ("1.0rc1", "1.0rc1")])
def test_the_local_part_of_a_version_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stated: str, expected: str
) -> None:
    info = tmp_path / f"my_torch-{stated}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: my_torch\nVersion: {stated}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert installed_version("my_torch") == expected


def test_a_distribution_that_is_not_installed_has_no_version() -> None:
    assert installed_version("no-such-distribution") is None
