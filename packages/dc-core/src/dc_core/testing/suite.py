"""What every suite is: a set of laws that none of its subclasses can drop in silence.

A law that a plugin cannot keep is named in ``expected_failures`` with the reason. It is still run:
the day it holds, that line is an error and has to go.
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
    """A law of the kit does not hold for the thing under test."""


class SuiteError(DCError, TypeError):
    """A suite redefines a law, or expects one to fail that does not exist."""


def law(check: Callable[[S], None]) -> Callable[[S], None]:
    """Make the method ``check`` a law; its first docstring line is the law in words.

    Whatever ``check`` raises becomes a :class:`LawBroken` that begins with the law.
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
    """Leave the running law out: what it speaks of does not exist here."""
    pytest.skip(reason)


class Suite(ABC):  # noqa: B024 - what is abstract is up to the suites
    """Laws as test methods; a subclass provides what they are tried on."""

    expected_failures: ClassVar[Mapping[str, str]] = {}
    """Laws that are known not to hold, by method name, each with the reason."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a redefined law, and mark the failures that are expected."""
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
                f"{cls.__name__} expects {unknown[0]!r} to fail, which is no law.",
                hint=f"The laws are: {', '.join(laws)}.",
            )
        for name, check in laws.items():
            reason = cls.expected_failures.get(name)
            setattr(cls, name, check if reason is None else _expected_failure(check, reason))

    @classmethod
    def laws(cls) -> dict[str, Callable[..., None]]:
        """Return the suite's laws by method name, in the order in which they are written."""
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
