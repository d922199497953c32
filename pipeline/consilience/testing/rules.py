"""What all checks share: how they fail, and how they try something that may go wrong."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from consilience.core.errors import ConsilienceError


class ContractError(AssertionError):
    """A modality or a dataset does not do what its Protocol says."""


def require(holds: object, what: str, remedy: str) -> None:
    """Fail with what is wrong and what to do about it, unless it holds."""
    if not holds:
        raise ContractError(f"{what}; {remedy}")


@contextmanager
def only(allowed: type[ConsilienceError], while_: str) -> Iterator[None]:
    """Let nothing out of the block but an error of the allowed type."""
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
    """Return the library that makes the damaged input; it is needed nowhere else.

    Raises
    ------
    ContractError
        If it is not installed.
    """
    try:
        return importlib.import_module("hypothesis")
    except ImportError:
        raise ContractError(
            "hypothesis, which makes the damaged input, is not installed; "
            "pip install 'consilience[dev]'"
        ) from None


def for_all(n_examples: int, test: Callable[..., None], **strategies: Any) -> None:
    """Run a property test, the same examples each time; it fails for the simplest one found."""
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
