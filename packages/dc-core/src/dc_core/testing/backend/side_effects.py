"""Laws on what a call must leave alone: the process, its output, its memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Final, final

from dc_core import plugins
from dc_core.testing.backend.subject import BackendSubject
from dc_core.testing.effects import EffectLaws
from dc_core.testing.process import peak_memory, survive
from dc_core.testing.suite import LawBroken, law, skip

LARGE: Final = 64 * 2**20
"""How many bytes one weight of ``make_large`` has at least."""


class SideEffectLaws(BackendSubject, EffectLaws):
    """Laws on what a call must leave alone: the process, its output, its memory."""

    @law(since="0.1")
    def test_nothing_is_kept_after_a_call(self) -> None:
        """Copied arrays and the object itself are freed once the caller drops them."""
        hint = "Keep no reference beyond the call: no cache, no registry, no reference cycle."
        exported = self.export(self.make(0))
        if survive(exported):
            raise LawBroken("An exported array is still in memory.", hint=hint)
        given = self.export(self.make(0))
        loaded = self.load(self.blank(), given)
        if survive(given):
            raise LawBroken("A given array is still in memory after an import.", hint=hint)
        objects = {"loaded": loaded, "exported": self.make(0)}
        del loaded
        self.describe(objects["exported"])
        self.export(objects["exported"])
        try:
            survives = survive(objects)
        except TypeError:
            skip("objects of this framework cannot be referenced weakly")
        if survives:
            raise LawBroken("An object is still in memory after it was dropped.", hint=hint)

    @law(since="0.1")
    def test_describing_allocates_no_weights(self) -> None:
        """Describing large weights allocates none of them."""
        obj = self.make_large(0)
        largest = max(i.dtype.itemsize * math.prod(i.shape) for i in self.describe(obj).values())
        if largest < LARGE:
            raise LawBroken(
                f"The largest weight of make_large(0) has {largest} bytes.",
                hint=f"Make one weight of at least {LARGE} bytes.",
            )
        peak = peak_memory(lambda: self.describe(obj))
        if peak > LARGE // 8:
            raise LawBroken(
                f"Describing it allocated {peak} bytes.",
                hint="Read shapes and dtypes without converting or copying the values.",
            )

    @final
    def _calls(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """Yield every kind of call that the backend supports."""
        plugins.BACKENDS.load(self.backend)  # Importing a framework may change the process.
        served, obj, blank, wrapped = (
            plugins.backend(self.backend),
            self.make(0),
            self.blank(),
            self.make(1),
        )
        yield "describe weights", lambda: self.describe(obj)
        yield "export weights", lambda: self.export(obj)
        yield "export weights without copying", lambda: self.export(obj, copy=False)
        weights = self.export(obj)
        yield "import weights", lambda: self.load(blank, weights)
        target = self.target()
        yield "import weights without copying", lambda: self.load(target, weights, copy=False)
        yield "describe a component", lambda: served.describe_component(obj)
        described = served.describe_component(obj)
        if described is not None:
            yield "build a component", lambda: served.build_component(*described)
        if served.supports("skeleton"):
            yield "build a skeleton", lambda: served.skeleton(self.blank)
        if served.supports("wrap"):
            yield "wrap", lambda: served.wrap(wrapped)
