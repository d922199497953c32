"""Content and ending of files."""

from __future__ import annotations

import pytest

from consilience.core.errors import RecordingError
from consilience.readers.contents import check_content, refuse_converted

HEADS = {
    ".edf": b"0       ",
    ".bdf": b"\xffBIOSEMI",
    ".vhdr": b"Brain Vision Data Exchange",
    ".xdf": b"XDF:",
    ".mat": b"MATLAB 5.0 MAT-file",
    ".fif": b"\x00\x00\x00\x64\x00\x00\x00\x1f",
}


@pytest.mark.parametrize("content", HEADS)
@pytest.mark.parametrize("ending", HEADS)
def test_content_and_ending_must_agree_in_both_directions(tmp_path, content, ending):
    path = tmp_path / f"a{ending}"
    path.write_bytes(HEADS[content].ljust(40))
    if content == ending:
        check_content(path)
        return
    with pytest.raises(RecordingError, match=f"the name ends in {ending}, but the content is") as e:
        check_content(path)
    assert f"rename it to end in {content}" in str(e.value)


@pytest.mark.parametrize(
    ("head", "remedy"),
    [
        (b"\x1f\x8b\x08", "unpack it"),
        (b"PK\x03\x04", "unpack it"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"/annex/objects/MD5E-s290120--5d41.edf", "git annex get a.edf"),
    ],
)
def test_packed_files_and_pointers_are_named(tmp_path, head, remedy):
    (tmp_path / "a.edf").write_bytes(head)
    with pytest.raises(RecordingError, match=remedy):
        check_content(tmp_path / "a.edf")


@pytest.mark.parametrize("n_kept", [0, 3])
def test_a_conversion_of_line_ends_is_named_also_if_crlf_was_kept(tmp_path, n_kept):
    path = tmp_path / "a.bin"
    path.write_bytes(b"12\r\n" * 40)
    refuse_converted(path, 41)
    with pytest.raises(RecordingError, match="each of its 40 LF is preceded by CR"):
        refuse_converted(path, 40 - n_kept)
    path.write_bytes(b"12\r\n" * 40 + b"\n")
    refuse_converted(path, 41)


def test_an_unknown_content_is_left_to_the_reader(tmp_path):
    (tmp_path / "a.edf").write_bytes(b"text")
    check_content(tmp_path / "a.edf")
