"""Laws on arbitrary weights and architectures, which Hypothesis makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dc_core.testing.backend.subject import BackendSubject, expect_same, expect_same_prediction
from dc_core.testing.bits import difference, edited
from dc_core.testing.suite import LawBroken, law, skip

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

_MISSING: Final = 'This law needs Hypothesis. Run: pip install "dc-core[testing]"'

_STATES: Final = 40
"""How many states are tried."""

_ARCHITECTURES: Final = 25
"""How many architectures are tried."""

_EDITS: Final = 6
"""How many numbers of a state are changed at most."""


class ArbitraryLaws(BackendSubject):
    """Laws on arbitrary weights and architectures, which Hypothesis makes."""

    def architectures(self) -> SearchStrategy[Callable[[int], Any]]:
        """Optional: return a Hypothesis strategy of functions that build objects from a seed.

        Each draw is one architecture: ``build(0)`` and ``build(1)`` have the same weights by name,
        shape and dtype, with other values. Vary depth, widths, kinds of layers and options.
        """
        skip("the suite has no architectures")

    @law(since="0.1")
    def test_any_state_is_imported_exactly_or_rejected(self) -> None:
        """Any values of the described shapes and dtypes are imported exactly, or refused."""
        sources, target = [self.export(self.make(seed)) for seed in (0, 1)], self.target()

        def check(state: Mapping[str, np.ndarray]) -> None:
            what = f"weights of which {difference(sources[0], state) or 'none is changed'}"
            for obj in (target, self.blank()):
                loaded = self.load_or_refuse(obj, state, what, copy=True)
                if loaded is not None:
                    hint = "Import every value exactly, or raise StructureError."
                    expect_same(state, self.export(loaded), f"Given {what}", hint)

        _for_all(_states(sources), check, _STATES)

    @law(since="0.1")
    def test_any_architecture_survives_a_round_trip(self) -> None:
        """Objects of any architecture are exported as described, and restored exactly."""

        def check(build: Callable[[int], Any]) -> None:
            obj, other = build(0), build(1)
            table, exported = self.describe(obj), self.export(obj)
            described = {name: (info.shape, info.dtype) for name, info in table.items()}
            found = {name: (array.shape, array.dtype) for name, array in exported.items()}
            if list(described.items()) != list(found.items()):
                raise LawBroken(
                    f"Described is {described}, exported {found}.",
                    hint="Derive both from one walk over the object.",
                )
            natives = [name for i in table.values() for name in (i.native, *i.aliases)]
            if len(set(natives)) != len(natives):
                raise LawBroken(
                    f"Native names are used twice: {natives}.",
                    hint="Use the framework's own full names, such as conv1.weight.",
                )
            loaded = self.load(other, dict(reversed(exported.items())))
            hint = "Look weights up by name, and set every one of them."
            expect_same(exported, self.export(loaded), "After a round trip", hint)
            expect_same_prediction(
                self.predict(obj), self.predict(loaded), "After a round trip", hint
            )

        _for_all(self.architectures(), check, _ARCHITECTURES)


def _states(sources: list[dict[str, np.ndarray]]) -> SearchStrategy[dict[str, np.ndarray]]:
    """Return a strategy of weights like the first source.

    Each weight is that of a source of the same form, or is filled with one value; then some of its
    elements are changed.
    """
    try:
        from hypothesis import strategies as st
    except ModuleNotFoundError as error:
        raise ImportError(_MISSING) from error
    first, second = sources

    @st.composite
    def states(draw: DrawFn) -> dict[str, np.ndarray]:
        state = {}
        for name, array in first.items():
            other = second.get(name, array)
            same_form = (other.shape, other.dtype) == (array.shape, array.dtype)
            state[name] = draw(st.sampled_from([array, other if same_form else array]))
        elements = [(name, i) for name, array in first.items() for i in _indices(array.size)]
        if not elements:
            return state
        bits = st.integers(0, 2**64 - 1) | st.integers(0, 9) | st.integers(2**64 - 9, 2**64 - 1)
        for name, i in draw(st.lists(st.sampled_from(elements), max_size=_EDITS)):
            state[name] = edited(state[name], slice(i, i + 1), draw(bits))
        filled = draw(st.lists(st.sampled_from(list(first)), max_size=1))
        for name in filled:
            state[name] = edited(state[name], slice(None), draw(bits))
        return state

    return states()


def _indices(size: int) -> list[int]:
    """Return the positions of at most 64 elements from all over an array."""
    return list(range(0, size, 1 + size // 64))


def _for_all(strategy: SearchStrategy[Any], check: Callable[[Any], None], examples: int) -> None:
    """Run ``check`` on examples of ``strategy``, the same ones each time."""
    try:
        from hypothesis import HealthCheck, Phase, given, settings
    except ModuleNotFoundError as error:
        raise ImportError(_MISSING) from error

    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=True,
        report_multiple_bugs=False,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def each(example: Any) -> None:
        check(example)

    each()
