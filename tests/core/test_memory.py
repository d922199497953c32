import pytest

from consilience.core import memory


@pytest.mark.parametrize(
    ("controllers", "folder", "names"),
    [
        ("", "box/inner", ("memory.max", "memory.current")),
        ("memory", "box", ("memory.limit_in_bytes", "memory.usage_in_bytes")),
    ],
)
def test_the_limit_of_the_control_group_less_its_use_is_available(
    tmp_path, monkeypatch, controllers, folder, names
):
    group = tmp_path / controllers / "box"
    group.mkdir(parents=True)
    for name, text in zip(names, ("5000", "1000"), strict=True):
        (group / name).write_text(text)
    inner = tmp_path / controllers / folder
    inner.mkdir(exist_ok=True)
    if inner != group:
        (inner / names[0]).write_text("max")
    listing = tmp_path / "cgroup"
    listing.write_text(f"0:{controllers}:/{folder}\n1:cpu:/other\n")
    monkeypatch.setattr(memory, "PROC", listing)
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    assert memory.available_bytes() == 4000


def test_without_control_groups_the_system_decides(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "PROC", tmp_path / "absent")
    assert memory.available_bytes() > 2**20
