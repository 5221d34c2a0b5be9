"""The objects that a backend's laws are tried on: three methods that the plugin's author writes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np

from dc_core import plugins
from dc_core.errors import StructureError, WeightsMismatch
from dc_core.testing.bits import difference
from dc_core.testing.suite import LawBroken, Suite, skip
from dc_core.weights import WeightInfo


class BackendSubject(Suite):
    """How to make the objects under test, and what the laws do with them."""

    backend: ClassVar[str]
    """The backend's name: that of its entry point in ``dc.backends.v1``."""

    hostile_cases: ClassVar[int] = 100
    """How many cases the law tries; ``python -m dc_core.testing.hostile`` tries more."""

    hostile_memory: ClassVar[int] = 1 << 30
    """How many bytes of address space a case may take beyond those of the program (on Linux)."""

    hostile_seconds: ClassVar[float] = 10
    """How many seconds of processor time a case may take (not on Windows)."""

    @abstractmethod
    def make(self, seed: int) -> Any:
        """Return an object of the framework, ready to predict, whose weights depend on ``seed``.

        It should have every kind of weight that the framework knows (buffers, running statistics),
        none of them at its initial value. Equal seeds give equal objects.
        """

    @abstractmethod
    def blank(self) -> Any:
        """Return the object that a stored ``make(...)`` is loaded into.

        It has the same architecture and other weights. If the framework has objects that are not
        fitted yet, return one of those: it has no weights at all.
        """

    @abstractmethod
    def predict(self, obj: Any) -> np.ndarray:
        """Return the predictions of ``obj`` on fixed inputs of your choice."""

    def strangers(self) -> Iterable[Any]:
        """Optional: return objects of the framework without weights, which the backend declines."""
        return ()

    def corrupt(self, weights: Mapping[str, np.ndarray]) -> Mapping[str, Mapping[str, np.ndarray]]:
        """Optional: return damaged versions of the exported ``weights``, by what is wrong.

        Names, shapes and dtypes are right and the values contradict each other or the
        architecture: a tree whose child is its own parent, an index out of range.
        """
        skip("the suite has no corrupt")

    def golden(self) -> Path:
        """Optional: return the directory of golden files, which earlier versions wrote.

        ``python -m dc_core.testing.golden`` writes one for the installed version.
        """
        skip("the suite has no golden")

    def make_tied(self, seed: int) -> Any:
        """Optional: return an object in which one array serves under two native names."""
        skip("the suite has no make_tied")

    def make_scalar(self, seed: int) -> Any:
        """Optional: return an object with a weight of shape ``()``."""
        skip("the suite has no make_scalar")

    def make_empty(self, seed: int) -> Any:
        """Optional: return an object with a weight without elements, for instance ``(0, 3)``."""
        skip("the suite has no make_empty")

    def make_bfloat16(self, seed: int) -> Any:
        """Optional: return an object with weights in bfloat16."""
        skip("the suite has no make_bfloat16")

    def make_large(self, seed: int) -> Any:
        """Optional: return an object with a weight of at least 64 MiB."""
        skip("the suite has no make_large")

    @final
    def describe(self, obj: Any) -> dict[str, WeightInfo]:
        """Describe the weights of ``obj`` as users do."""
        return plugins.claim(obj).describe_weights()

    @final
    def export(
        self, obj: Any, names: Collection[str] | None = None, *, copy: bool = True
    ) -> dict[str, np.ndarray]:
        """Export the weights of ``obj`` as users do."""
        return plugins.claim(obj).export_weights(names, copy=copy)

    @final
    def load(
        self,
        obj: Any,
        weights: Mapping[str, np.ndarray],
        allow_missing: Collection[str] = (),
        *,
        copy: bool = True,
    ) -> Any:
        """Import ``weights`` into ``obj`` as users do, and return the object that has them."""
        return plugins.claim(obj).import_weights(weights, allow_missing, copy=copy)

    @final
    def target(self) -> Any:
        """Return an object that accepts the weights of ``make(0)``, with other values if possible.

        Where the shapes depend on the data (trees), that is ``make(0)`` itself.
        """
        wanted = _form(self.describe(self.make(0)))
        others = (self.blank(), self.make(1))
        return next((o for o in others if _form(self.describe(o)) == wanted), self.make(0))

    @final
    def load_or_refuse(
        self,
        obj: Any,
        weights: Mapping[str, Any],
        what: str,
        allow_missing: Collection[str] = (),
        *,
        copy: bool,
    ) -> Any | None:
        """Return the object that has ``weights``, or None if they were refused.

        Breaks the law unless a refusal is a typed error that leaves ``obj`` unchanged.
        """
        before = self.export(obj)
        try:
            return self.load(obj, weights, allow_missing, copy=copy)
        except (WeightsMismatch, StructureError):
            pass
        except Exception as error:
            raise LawBroken(
                f"Given {what} (copy={copy}), it raised {type(error).__name__} ({error}), which is "
                "neither WeightsMismatch nor StructureError.",
                hint="Check the values before the framework sees them.",
            ) from error
        changed = difference(before, self.export(obj))
        if changed:
            raise LawBroken(
                f"Given {what} (copy={copy}), it raised, but the object changed: {changed}.",
                hint="Check everything before setting anything.",
            )
        return None

    @final
    def reject(
        self,
        obj: Any,
        weights: Mapping[str, Any],
        what: str,
        allow_missing: Collection[str] = (),
    ) -> None:
        """Break the law unless ``obj`` refuses ``weights`` with a typed error and is unchanged."""
        for copy in (True, False):
            loaded = self.load_or_refuse(obj, weights, what, allow_missing, copy=copy)
            if loaded is not None:
                raise LawBroken(
                    f"Given {what} (copy={copy}), it raised nothing.",
                    hint="Check the weights first; dc_core.check_weights checks names, shapes and "
                    "dtypes.",
                )


def _form(table: Mapping[str, WeightInfo]) -> dict[str, tuple[tuple[int, ...], Any]]:
    return {name: (info.shape, info.dtype) for name, info in table.items()}


def expect_same(
    expected: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray], when: str, hint: str
) -> None:
    """Break the law unless two sets of named arrays agree bit for bit."""
    differs = difference(expected, found)
    if differs:
        raise LawBroken(f"{when}: {differs}.", hint=hint)


def expect_same_prediction(expected: np.ndarray, found: np.ndarray, when: str, hint: str) -> None:
    """Break the law unless two predictions agree bit for bit."""
    expect_same({"prediction": np.asarray(expected)}, {"prediction": np.asarray(found)}, when, hint)
