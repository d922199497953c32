import pytest

from benchmarks.speed.page import BENCHMARKS, PAGE, replaced
from consilience.core.errors import ConsilienceError

TEXT = "before\n<!-- a: begin -->\nold\n<!-- a: end -->\nafter\n"


def test_a_result_replaces_the_former_one_and_nothing_else() -> None:
    expected = "before\n<!-- a: begin -->\nnew\n<!-- a: end -->\nafter\n"
    assert replaced(TEXT, "a", "new\n\n") == expected


def test_a_page_without_the_marks_is_an_error() -> None:
    with pytest.raises(ConsilienceError, match="no marks of 'b'"):
        replaced(TEXT, "b", "new")


@pytest.mark.parametrize("name", BENCHMARKS)
def test_the_page_has_a_place_for_every_benchmark(name: str) -> None:
    assert replaced(PAGE.read_text(), name, "result") != PAGE.read_text()
