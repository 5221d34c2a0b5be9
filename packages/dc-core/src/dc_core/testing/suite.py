"""The base of every suite: laws that no subclass can drop silently.

A law that a plugin cannot keep is named in ``expected_failures`` with the reason. It is still run,
and once it holds, the entry is an error.
"""

from __future__ import annotations

import functools
from abc import ABC
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NoReturn, TypeVar

from dc_core.errors import DCError

try:
    import pytest
except ModuleNotFoundError as error:
    raise ImportError(
        'dc_core.testing needs pytest. Run: pip install "dc-core[testing]"'
    ) from error

S = TypeVar("S", bound="Suite")

_LAW = "_dc_law"


class LawBroken(DCError, AssertionError):
    """A law of the kit does not hold for the object under test."""


class SuiteError(DCError, TypeError):
    """A suite redefines a law, or expects an unknown law to fail."""


def law(check: Callable[[S], None]) -> Callable[[S], None]:
    """Make the method ``check`` a law; the first line of its docstring states it.

    Any exception that ``check`` raises becomes a :class:`LawBroken` that begins with that line.
    """
    words = (check.__doc__ or check.__name__).strip().partition("\n")[0]

    @functools.wraps(check)
    def checked(self: S) -> None:
        try:
            check(self)
        except LawBroken as broken:
            raise LawBroken(f"The law is: {words} {broken.args[0]}", hint=broken.hint) from broken
        except Exception as error:
            raise LawBroken(
                f"The law is: {words} Instead there was {type(error).__name__}: {error}",
                hint="The traceback above shows where it comes from.",
            ) from error

    setattr(checked, _LAW, True)
    return checked


def skip(reason: str) -> NoReturn:
    """Skip the running law, which does not apply to the objects under test."""
    pytest.skip(reason)


class Suite(ABC):  # noqa: B024 - the suites have abstract methods
    """Laws as test methods; a subclass provides the objects under test."""

    expected_failures: ClassVar[Mapping[str, str]] = {}
    """Laws that are known not to hold: method names with reasons."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Raise SuiteError for a redefined law, and mark the expected failures."""
        super().__init_subclass__(**kwargs)
        laws = cls.laws()
        inherited = {
            name for base in cls.__bases__ if issubclass(base, Suite) for name in base.laws()
        }
        redefined = sorted(inherited & vars(cls).keys())
        if redefined:
            raise SuiteError(
                f"{cls.__name__} redefines the law {redefined[0]!r}.",
                hint="Name it in expected_failures, with the reason, if it cannot hold.",
            )
        unknown = sorted(set(cls.expected_failures) - set(laws))
        if unknown:
            raise SuiteError(
                f"{cls.__name__} expects {unknown[0]!r} to fail, but there is no such law.",
                hint=f"The laws are: {', '.join(laws)}.",
            )
        for name, check in laws.items():
            reason = cls.expected_failures.get(name)
            setattr(cls, name, check if reason is None else _expected_failure(check, reason))

    @classmethod
    def laws(cls) -> dict[str, Callable[..., None]]:
        """Return the suite's laws by method name, in the order of their definition."""
        return {
            name: value
            for base in reversed(cls.__mro__)
            for name, value in vars(base).items()
            if getattr(value, _LAW, False)
        }


def _expected_failure(check: Callable[..., None], reason: str) -> Callable[..., None]:
    @functools.wraps(check)
    def failing(self: Suite) -> None:
        check(self)

    delattr(failing, _LAW)
    marked: Callable[..., None] = pytest.mark.xfail(reason=reason, raises=LawBroken, strict=True)(
        failing
    )
    return marked
