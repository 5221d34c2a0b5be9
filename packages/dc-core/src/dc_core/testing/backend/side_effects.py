"""Laws on what a call must leave alone: the process, its output, its memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from dc_core import plugins
from dc_core.testing.backend.subject import BackendSubject
from dc_core.testing.process import captured_output, change_of_state, peak_memory, survive
from dc_core.testing.suite import LawBroken, law, skip

LARGE: Final = 64 * 2**20
"""How many bytes one weight of ``make_large`` has at least."""


class SideEffectLaws(BackendSubject):
    """Laws on what a call must leave alone: the process, its output, its memory."""

    @law
    def test_calls_leave_the_process_as_it_was(self) -> None:
        """No call changes random states, modes, environment, directory, signals or threads."""
        for verb, call in self._calls().items():
            changed = change_of_state(call, self.global_state)
            if changed:
                raise LawBroken(
                    f"After it was asked to {verb}, {changed} is different.",
                    hint="Use generators and contexts of your own, and restore in `finally` what "
                    "the framework changes.",
                )

    @law
    def test_calls_print_nothing(self) -> None:
        """No call writes to standard output or standard error."""
        for verb, call in self._calls().items():
            with captured_output() as written:
                call()
            if any(written):
                raise LawBroken(
                    f"Asked to {verb}, it wrote {''.join(written)[:200]!r}.",
                    hint="Use logging; return what the caller should know.",
                )

    @law
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

    @law
    def test_describing_allocates_no_weights(self) -> None:
        """Describing large weights takes no memory to speak of."""
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

    def _calls(self) -> dict[str, Callable[[], object]]:
        """Return every kind of call that the backend supports."""
        served, obj, blank = plugins.backend(self.backend), self.make(0), self.blank()
        target, wrapped = self.target(), self.make(1)
        weights = self.export(obj)
        described = served.describe_component(obj)
        calls: dict[str, Callable[[], object]] = {
            "describe weights": lambda: self.describe(obj),
            "export weights": lambda: self.export(obj),
            "export weights without copying": lambda: self.export(obj, copy=False),
            "import weights": lambda: self.load(blank, weights),
            "import weights without copying": lambda: self.load(target, weights, copy=False),
            "describe a component": lambda: served.describe_component(obj),
        }
        if served.supports("skeleton"):
            calls["build a skeleton"] = lambda: served.skeleton(self.blank)
        if described is not None:
            calls["build a component"] = lambda: served.build_component(*described)
        if served.supports("wrap"):
            calls["wrap"] = lambda: served.wrap(wrapped)
        return calls
