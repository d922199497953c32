"""Functions shared by all checks: failing, and calling code that may raise."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from consilience.core.errors import ConsilienceError


class ContractError(AssertionError):
    """A modality, a dataset or a method violates its contract."""


def require(holds: object, what: str, remedy: str) -> None:
    """Fail with the problem and the remedy unless the condition holds."""
    if not holds:
        raise ContractError(f"{what}; {remedy}")


@contextmanager
def only(allowed: type[ConsilienceError], while_: str) -> Iterator[None]:
    """Replace every exception of the block except those of the allowed type by a failure."""
    try:
        yield
    except (allowed, ContractError):
        raise
    except Exception as error:
        text = " ".join(str(error).split())[:200]
        raise ContractError(
            f"{while_}: {type(error).__name__}: {text}; raise {allowed.__name__}(what, where, "
            "remedy) instead, so that only this input is set aside"
        ) from error


def hypothesis() -> Any:
    """Return the library that generates damaged input; only these checks need it.

    Raises
    ------
    ContractError
        If it is not installed.
    """
    try:
        return importlib.import_module("hypothesis")
    except ImportError:
        raise ContractError(
            "hypothesis, which generates the damaged input, is not installed; "
            "pip install 'consilience[dev]'"
        ) from None


def for_all(n_examples: int, test: Callable[..., None], **strategies: Any) -> None:
    """Run a property test with reproducible examples; it fails with the simplest counterexample."""
    library = hypothesis()
    library.settings(
        max_examples=n_examples,
        derandomize=True,
        database=None,
        deadline=None,
        print_blob=False,
        suppress_health_check=list(library.HealthCheck),
    )(library.given(**strategies)(test))()


def name_of(check: Callable[..., None]) -> str:
    """Return a check's name in words, for the list of tests."""
    return check.__name__.removeprefix("check_")
