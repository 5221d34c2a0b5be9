"""The base of every suite: laws that no subclass can drop silently.

A law that a plugin cannot keep is named in ``expected_failures`` with the reason. It is still run,
and once it holds, the entry is an error. A suite with a ``kit_version`` is held to the laws of that
version; failures of newer laws are reported as expected, with the version that added the law.
"""

from __future__ import annotations

import functools
import re
from abc import ABC
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any, ClassVar, Final, NoReturn, TypeVar, overload

from dc_core.errors import DCError

try:
    import pytest
except ModuleNotFoundError as error:
    raise ImportError(
        'dc_core.testing needs pytest. Run: pip install "dc-core[testing]"'
    ) from error

S = TypeVar("S", bound="Suite")

_LAW: Final = "_dc_law"
_VERSION: Final = re.compile(r"(\d+)\.(\d+)")


class LawBroken(DCError, AssertionError):
    """A law of the kit does not hold for the object under test."""


class SuiteError(DCError, TypeError):
    """A suite redefines a law, or its options are wrong."""


@dataclass(frozen=True, slots=True)
class Law:
    """What a law states, and the version of dc-core that added it (None: an author's own law)."""

    statement: str
    since: str | None


@overload
def law(check: Callable[[S], None]) -> Callable[[S], None]: ...
@overload
def law(*, since: str) -> Callable[[Callable[[S], None]], Callable[[S], None]]: ...
def law(check: Callable[[S], None] | None = None, *, since: str | None = None) -> Any:
    """Make the method ``check`` a law; the first line of its docstring states it.

    Any exception that ``check`` raises becomes a :class:`LawBroken` that begins with that line.
    The kit's own laws say the version that added them: ``@law(since="0.1")``.
    """
    if check is None:
        return functools.partial(_law, since=since)
    return _law(check, since)


def _law(check: Callable[[S], None], since: str | None) -> Callable[[S], None]:
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

    setattr(checked, _LAW, Law(words, since))
    return checked


def skip(reason: str) -> NoReturn:
    """Skip the running law, which does not apply to the objects under test."""
    pytest.skip(reason)


class Suite(ABC):  # noqa: B024 - the suites have abstract methods
    """Laws as test methods; a subclass provides the objects under test."""

    expected_failures: ClassVar[Mapping[str, str]] = {}
    """Laws that are known not to hold: method names with reasons."""

    kit_version: ClassVar[str | None] = None
    """The version of dc-core whose laws must hold, such as ``"0.1"``; None: all laws must hold.

    Newer laws are run too. One that does not hold is reported as an expected failure (xfail), with
    the version that added it.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Raise SuiteError for a redefined law or wrong options, and mark expected failures."""
        super().__init_subclass__(**kwargs)
        laws = cls.laws()
        cls._check_redefinitions()
        unknown = sorted(set(cls.expected_failures) - set(laws))
        if unknown:
            raise SuiteError(
                f"{cls.__name__} expects {unknown[0]!r} to fail, but there is no such law.",
                hint=f"The laws are: {', '.join(laws)}.",
            )
        unexplained = [name for name, reason in cls.expected_failures.items() if not reason]
        if unexplained:
            raise SuiteError(
                f"{cls.__name__} expects {unexplained[0]!r} to fail and does not say why.",
                hint='Give the reason: expected_failures = {"test_…": "why"}.',
            )
        pinned = cls._pinned()
        for name, check in laws.items():
            reason = cls.expected_failures.get(name)
            since = getattr(check, _LAW).since
            if reason is not None:
                check = _expected_failure(check, reason, strict=True)
            elif pinned and since and _parsed(since) > pinned:
                reason = f"new in dc-core {since}; the suite is pinned to {cls.kit_version}"
                check = _expected_failure(check, reason, strict=False)
            setattr(cls, name, check)

    @classmethod
    def laws(cls) -> dict[str, Callable[..., None]]:
        """Return the suite's laws by method name, in the order of their definition."""
        return {
            name: value
            for base in reversed(cls.__mro__)
            for name, value in vars(base).items()
            if isinstance(getattr(value, _LAW, None), Law)
        }

    @classmethod
    def law_versions(cls) -> dict[str, str]:
        """Return for each law of the kit the version of dc-core that added it."""
        laws = {name: getattr(check, _LAW) for name, check in cls.laws().items()}
        return {name: law.since for name, law in laws.items() if law.since is not None}

    @classmethod
    def _check_redefinitions(cls) -> None:
        """Raise SuiteError if a law, or a method that laws call, is not that of the suites."""
        suites = [base for base in cls.__bases__ if issubclass(base, Suite)]
        laws: dict[str, Callable[..., None]] = {}
        for suite in suites:
            for name, check in suite.laws().items():
                if laws.setdefault(name, check) is not check:
                    raise SuiteError(
                        f"{cls.__name__} inherits two laws named {name!r}.",
                        hint="Write one class for each suite.",
                    )
        used = {
            name
            for suite in suites
            for base in suite.__mro__
            for name, value in vars(base).items()
            if getattr(value, "__final__", False)
        }
        for name in sorted({*laws, *used}):
            definer = next(base for base in cls.__mro__ if name in vars(base))
            if definer is not cls and issubclass(definer, Suite):
                continue
            by = "" if definer is cls else f" by inheriting from {definer.__name__}"
            if name in laws:
                raise SuiteError(
                    f"{cls.__name__} redefines the law {name!r}{by}.",
                    hint="Name it in expected_failures, with the reason, if it cannot hold.",
                )
            raise SuiteError(
                f"{cls.__name__} redefines {name!r}{by}, which the laws call.",
                hint="Give your method another name.",
            )

    @classmethod
    def _pinned(cls) -> tuple[int, int] | None:
        if cls.kit_version is None:
            return None
        if not _VERSION.fullmatch(str(cls.kit_version)):
            raise SuiteError(
                f"{cls.__name__}.kit_version is {cls.kit_version!r}.",
                hint='Give major and minor version of dc-core: "0.1".',
            )
        pinned, installed = _parsed(str(cls.kit_version)), metadata.version("dc-core")
        if pinned > _parsed(installed):
            raise SuiteError(
                f"{cls.__name__} is pinned to dc-core {cls.kit_version}; {installed} is installed.",
                hint=f'Run: pip install "dc-core[testing]>={cls.kit_version}"',
            )
        return pinned


def _parsed(version: str) -> tuple[int, int]:
    """Return the major and minor version."""
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def _expected_failure(
    check: Callable[..., None], reason: str, *, strict: bool
) -> Callable[..., None]:
    @functools.wraps(check)
    def failing(self: Suite) -> None:
        check(self)

    delattr(failing, _LAW)
    marked: Callable[..., None] = pytest.mark.xfail(reason=reason, raises=LawBroken, strict=strict)(
        failing
    )
    return marked
