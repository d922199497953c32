from __future__ import annotations

import pytest
from hypothesis import strategies as st

from consilience.core.errors import ConsilienceError, RecordingError
from consilience.testing import rules


def test_a_condition_that_does_not_hold_names_problem_and_remedy() -> None:
    rules.require([1], "never raised", "no remedy")
    with pytest.raises(rules.ContractError, match=r"^the list is empty; add an entry$"):
        rules.require([], "the list is empty", "add an entry")


def test_the_allowed_error_passes() -> None:
    with pytest.raises(RecordingError), rules.only(RecordingError, "reading"):
        raise RecordingError("flat", "a.wav")


def test_every_other_error_becomes_a_failure_of_one_line() -> None:
    for error, name in ((KeyError("a\nb"), "KeyError"), (ConsilienceError("a", "b"), "Consil")):
        failure = pytest.raises(
            rules.ContractError, match=rf"^reading: {name}.*raise RecordingError"
        )
        with failure, rules.only(RecordingError, "reading"):
            raise error


def test_a_property_test_is_reproducible_and_finds_a_counterexample() -> None:
    drawn: list[int] = []

    def remember(n: int) -> None:
        drawn.append(n)

    rules.for_all(10, remember, n=st.integers())
    rules.for_all(10, remember, n=st.integers())
    assert drawn[: len(drawn) // 2] == drawn[len(drawn) // 2 :]

    def small(n: int) -> None:
        assert n < 100

    with pytest.raises(AssertionError):
        rules.for_all(100, small, n=st.integers(0, 1000))


def test_the_name_of_a_check_is_its_function_without_the_prefix() -> None:
    def check_odd_names() -> None: ...

    assert rules.name_of(check_odd_names) == "odd_names"
