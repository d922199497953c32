"""Answers of Label Studio become annotations; anything else is one line that names the mistake."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from consilience.annotation.collected import collected_annotations
from consilience.core.errors import ConsilienceError
from consilience.label_studio import answers
from consilience.label_studio.answers import import_answers
from consilience.project import Project
from tests.label_studio.recorded import export, study, written

Content = list[dict[str, Any]]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return study(tmp_path)


def test_answers_are_annotations_of_the_window(project: Project, tmp_path: Path) -> None:
    done = import_answers(project, written(tmp_path, export()))
    assert (done.n_tasks, done.n_answers, done.n_skipped, done.n_rows) == (2, 5, 1, 5)
    assert done.path == project.annotations / "label_studio.csv"
    rows = collected_annotations(project).sort("start_s", "annotator", "target").rows()
    assert rows == [
        ("s1", "label_studio_1", "emotion", 0.0, 4.0, "sad", None),
        ("s1", "label_studio_1", "valence", 0.0, 4.0, None, -0.6),
        ("s1", "label_studio_7", "emotion", 0.0, 4.0, "calm", None),
        ("s1", "label_studio_1", "arousal", 4.0, 8.0, None, 1.0),
        ("s1", "label_studio_1", "emotion", 4.0, 8.0, "calm", None),
    ]
    assert "example.org" not in done.path.read_text()  # addresses of people stay out of the study


def test_a_second_import_changes_no_byte(project: Project, tmp_path: Path) -> None:
    file = written(tmp_path, export())
    before = import_answers(project, file).path.read_bytes()
    assert import_answers(project, file).path.read_bytes() == before
    assert import_answers(project, written(tmp_path, export()[::-1])).path.read_bytes() == before


def test_later_answers_replace_those_of_the_same_person(project: Project, tmp_path: Path) -> None:
    import_answers(project, written(tmp_path, export()[1:]))
    content = export()
    later = copy.deepcopy(content[0]["annotations"][0])
    later |= {"id": 99, "result": [later["result"][0]]}
    later["result"][0]["value"]["choices"] = ["calm"]
    content[0]["annotations"].insert(0, later)
    done = import_answers(project, written(tmp_path, content))
    rows = {row[1:4]: row[5] for row in collected_annotations(project).rows()}
    assert rows["label_studio_1", "emotion", 0.0] == "calm"
    assert done.n_rows == 5  # those of the first import are kept


def test_the_name_of_the_annotators_can_be_chosen(project: Project, tmp_path: Path) -> None:
    file = written(tmp_path, export())
    assert import_answers(project, file, "second_lab").path.name == "second_lab.csv"
    assert "second_lab_7" in set(collected_annotations(project)["annotator"])
    for name in ("../up", "self_report", "A"):
        with pytest.raises(ConsilienceError, match="--annotator"):
            import_answers(project, file, name)


def changed(change: Callable[[Content], object]) -> Content:
    content = export()
    change(content)
    return content


def first_result(content: Content) -> dict[str, Any]:
    result: dict[str, Any] = content[0]["annotations"][0]["result"][0]
    return result


HOSTILE: dict[str, tuple[object, str]] = {
    "unknown task": (
        changed(lambda c: c[1]["data"].update(window="s9_t1_0000000")),
        "task 2: unknown window 's9_t1_0000000'",
    ),
    "unknown class": (
        changed(lambda c: first_result(c)["value"].update(choices=["glad"])),
        "task 1: unknown class 'glad'",
    ),
    "class of another type": (
        changed(lambda c: first_result(c)["value"].update(choices=[{"a": 1}])),
        "task 1: unknown class",
    ),
    "two classes": (
        changed(lambda c: first_result(c)["value"].update(choices=["calm", "sad"])),
        "task 1: not one choice of a class",
    ),
    "moved window": (
        changed(lambda c: c[0]["data"].update(end_s=5.0)),
        "now from 0 s to 4 s",
    ),
    "rating beyond the scale": (
        changed(lambda c: c[0]["annotations"][0]["result"][1]["value"].update(number=3)),
        "task 1: valence 3 is not a number from -1 to 1",
    ),
    "rating that is true": (
        changed(lambda c: c[0]["annotations"][0]["result"][1]["value"].update(number=True)),
        "valence True is not a number",
    ),
    "JSON-MIN": ([{"id": 1, "emotion": "sad", "annotator": 1}], "entry 1: data: Field required"),
    "person as text": (
        changed(lambda c: c[0]["annotations"][0].update(completed_by="me@example.org")),
        "completed_by",
    ),
    "negative number": (changed(lambda c: c[0].update(id=-1)), "entry 1: id"),
    "too long a name": (
        changed(lambda c: c[0]["data"].update(window="x" * 10**6)),
        "entry 1: data.window",
    ),
    "result that is a text": (
        changed(lambda c: c[0]["annotations"][0].update(result="sad")),
        "entry 1: annotations.0.result",
    ),
    "an object": ({"tasks": []}, "not a list of tasks"),
    "a number": (7, "not a list of tasks"),
    "a task that is null": ([None], "entry 1: task"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_an_invalid_export_is_one_clear_line(name: str, project: Project, tmp_path: Path) -> None:
    content, message = HOSTILE[name]
    with pytest.raises(ConsilienceError) as caught:
        import_answers(project, written(tmp_path, content))
    line = str(caught.value)
    assert message in line
    assert len(line) < 1000
    assert "\n" not in line
    assert not project.annotations.exists()  # nothing is imported in part


@pytest.mark.parametrize(
    "text",
    ["", "[", "[NaN]", '[{"id": Infinity}]', "[" * 100_000, '{"a": "\ud800"}', "\x00\xff"],
    ids=["empty", "cut", "nan", "infinite", "deep", "surrogate", "binary"],
)
def test_text_that_is_not_json_is_one_clear_line(
    text: str, project: Project, tmp_path: Path
) -> None:
    file = tmp_path / "export.json"
    file.write_bytes(text.encode("latin-1" if "\xff" in text else "utf-8", "surrogatepass"))
    with pytest.raises(ConsilienceError, match=r"export\.json: not valid JSON"):
        import_answers(project, file)


def test_sizes_are_bounded(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path, export())
    monkeypatch.setattr(answers, "MAX_TASKS", 1)
    with pytest.raises(ConsilienceError, match="more than 1 tasks"):
        import_answers(project, file)
    monkeypatch.setattr(answers, "MAX_BYTES", 10)
    with pytest.raises(ConsilienceError, match="more than 10 bytes"):
        import_answers(project, file)
    with pytest.raises(ConsilienceError, match="not a file"):
        import_answers(project, tmp_path / "absent.json")


def test_unread_keys_of_the_recorded_export_are_ignored(project: Project, tmp_path: Path) -> None:
    content = export()
    content[0]["new_key_of_a_later_version"] = {"deep": [1, 2]}
    content[0]["annotations"] = []
    assert import_answers(project, written(tmp_path, content)).n_tasks == 1
    assert json.loads(json.dumps(content)) == content
