import os
import socket

import pytest

from consilience.core.errors import ConsilienceError
from consilience.core.special_files import check_folder, file_states


def test_files_folders_and_usable_links_pass(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.edf").touch()
    (tmp_path / "link").symlink_to(tmp_path / "sub/a.edf")
    (tmp_path / "folder").symlink_to(tmp_path, target_is_directory=True)
    check_folder(tmp_path)


@pytest.mark.parametrize("kind", ["pipe", "socket", "link to a device", "broken link", "itself"])
def test_what_cannot_be_read_as_a_file_is_named(tmp_path, monkeypatch, kind):
    (tmp_path / "sub").mkdir()
    path = tmp_path / "sub" / "x"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        monkeypatch.chdir(path.parent)  # the path of a socket must be short
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("x")
    else:
        target = {"link to a device": "/dev/zero", "itself": "x"}.get(kind, "absent")
        path.symlink_to(target)
    with pytest.raises(ConsilienceError, match=f"'sub/x' is a .*{kind}"):
        check_folder(tmp_path)


def test_many_are_counted(tmp_path):
    for number in range(5):
        (tmp_path / str(number)).symlink_to("absent")
    with pytest.raises(ConsilienceError, match="'2' is a broken link and 2 more"):
        check_folder(tmp_path)


def test_a_files_state_follows_its_size_and_time(tmp_path):
    (tmp_path / "sub").mkdir()
    path = tmp_path / "sub/a.edf"
    path.write_bytes(b"one")
    (tmp_path / "broken").symlink_to("absent")
    before = file_states(tmp_path)
    assert list(before) == [path]
    path.write_bytes(b"three")
    assert file_states(tmp_path) != before
