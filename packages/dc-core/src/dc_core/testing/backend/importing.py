"""Laws on importing weights: exact, complete and detached."""

from __future__ import annotations

import threading
from contextlib import suppress
from functools import partial

import numpy as np

from dc_core import plugins
from dc_core.errors import StructureError, WeightsMismatch
from dc_core.testing.backend.subject import BackendSubject, expect_same, expect_same_prediction
from dc_core.testing.bits import difference, flip
from dc_core.testing.process import interruptions
from dc_core.testing.suite import LawBroken, law, skip


class ImportingLaws(BackendSubject):
    """Laws on importing weights: exact, complete and detached."""

    @law(since="0.1")
    def test_a_round_trip_restores_predictions(self) -> None:
        """A blank object with the weights of another predicts the same, bit for bit."""
        for seed in (0, 1):
            obj = self.make(seed)
            for copy in (True, False):
                loaded = self.load(self.blank(), self.export(obj), copy=copy)
                expect_same_prediction(
                    self.predict(obj),
                    self.predict(loaded),
                    f"Loaded with copy={copy}",
                    "Weights are all that prediction depends on: parameters, buffers, statistics.",
                )

    @law(since="0.1")
    def test_a_round_trip_restores_every_weight(self) -> None:
        """A blank object exports exactly the weights that it was given."""
        obj = self.make(0)
        for copy in (True, False):
            loaded = self.load(self.blank(), self.export(obj), copy=copy)
            hint = "Set every weight that is described, without casting it."
            expect_same(self.export(obj), self.export(loaded), f"Loaded with copy={copy}", hint)
            if self.describe(loaded) != self.describe(obj):
                raise LawBroken(
                    f"Loaded with copy={copy}, its description is different.", hint=hint
                )

    @law(since="0.1")
    def test_weights_replace_those_of_an_object_in_use(self) -> None:
        """An object that has already predicted predicts with the new weights after an import."""
        obj, target = self.make(0), self.target()
        self.predict(target)
        target = self.load(target, self.export(obj))
        hint = "Drop whatever the object has cached from its old weights."
        expect_same_prediction(self.predict(obj), self.predict(target), "After the import", hint)

    @law(since="0.1")
    def test_imports_are_detached(self) -> None:
        """With ``copy=True`` changing the given arrays later leaves the object alone."""
        weights = self.export(self.make(0))
        loaded = self.load(self.blank(), weights)
        predicted, kept = self.predict(loaded), self.export(loaded)
        for array in weights.values():
            flip(array)
        when, hint = "After the given arrays were changed", "Copy the arrays unless copy is False."
        expect_same(kept, self.export(loaded), when, hint)
        expect_same_prediction(predicted, self.predict(loaded), when, hint)

    @law(since="0.1")
    def test_two_imports_share_no_memory(self) -> None:
        """With ``copy=True`` two objects given the same arrays are independent."""
        weights = self.export(self.make(0))
        first, second = self.load(self.blank(), weights), self.load(self.blank(), weights)
        hint = "Copy the arrays for each object; keep no cache of converted ones."
        memory = [self.export(obj, copy=False) for obj in (first, second)]
        for name, array in memory[0].items():
            for other, array_of_other in memory[1].items():
                if np.may_share_memory(array, array_of_other):
                    raise LawBroken(
                        f"{name!r} of one shares memory with {other!r} of the other.", hint=hint
                    )
        predicted = self.predict(second)
        with suppress(WeightsMismatch, StructureError):
            self.load(first, self.export(self.make(1)))
        when = "After the other one was loaded again"
        expect_same(weights, self.export(second), when, hint)
        expect_same_prediction(predicted, self.predict(second), when, hint)

    @law(since="0.1")
    def test_weights_are_imported_in_any_order(self) -> None:
        """The order in which weights are given has no effect."""
        obj = self.make(0)
        weights = self.export(obj)
        reverse = dict(reversed(weights.items()))
        loaded = self.load(self.blank(), reverse)
        when = "Given in reverse order"
        hint = "Look weights up by name, and keep the order of the architecture."
        expect_same(weights, self.export(loaded), when, hint)
        expect_same_prediction(self.predict(obj), self.predict(loaded), when, hint)

    @law(since="0.1")
    def test_an_interrupted_import_leaves_the_object_whole(self) -> None:
        """A Ctrl-C passes through an import, which is then either complete or without effect."""
        if threading.current_thread() is not threading.main_thread():
            skip("interrupts arrive in the main thread alone")
        weights, target = self.export(self.make(0)), self.target()
        original = self.export(target)
        (entry,) = plugins.BACKENDS.entries[self.backend]
        packages = {entry.module.partition(".")[0]}
        for fresh in (self.blank, partial(self.load, target, original)):
            for interrupt in interruptions(packages, partial(self.load, fresh(), weights)):
                obj = fresh()
                before = self.export(obj)
                with suppress(KeyboardInterrupt):
                    with interrupt:
                        self.load(obj, weights)
                    if interrupt.pressed:
                        raise LawBroken(
                            "The import caught a KeyboardInterrupt.",
                            hint="Catch Exception at most.",
                        )
                after = self.export(obj)
                changed = difference(before, after)
                if changed and difference(weights, after):
                    raise LawBroken(
                        f"An interrupted import left the object half changed: {changed}.",
                        hint="Set the checked weights within dc_core.uninterrupted().",
                    )

    @law(since="0.1")
    def test_importing_changes_no_given_array(self) -> None:
        """Neither importing nor predicting afterwards writes to the given arrays."""
        weights = self.export(self.make(0))
        kept = {name: array.copy() for name, array in weights.items()}
        for copy in (True, False):
            self.predict(self.load(self.blank(), weights, copy=copy))
            expect_same(kept, weights, f"After import(copy={copy})", "Work on a copy.")

    @law(since="0.1")
    def test_read_only_arrays_are_imported(self) -> None:
        """Read-only arrays, such as those of a mapped file, can be imported."""
        obj = self.make(0)
        weights = self.export(obj)
        weights = {name: _read_only(array) for name, array in weights.items()}
        for copy in (True, False):
            loaded = self.load(self.blank(), weights, copy=copy)
            hint = "With copy=False an array may be kept; copy it where the framework must own it."
            expect_same(self.export(obj), self.export(loaded), f"Read-only, copy={copy}", hint)

    @law(since="0.1")
    def test_arrays_in_any_memory_order_are_imported(self) -> None:
        """Fortran-ordered and strided arrays are imported by their values."""
        obj = self.make(0)
        weights = self.export(obj)
        forms = {
            "Fortran-ordered": {name: np.asfortranarray(a) for name, a in weights.items()},
            "strided": {name: _strided(a) for name, a in weights.items()},
        }
        for form, given in forms.items():
            # asfortranarray makes a 0-d array one-dimensional in some NumPy versions.
            given = {name: a.reshape(weights[name].shape, order="A") for name, a in given.items()}
            for copy in (True, False):
                loaded = self.load(self.blank(), given, copy=copy)
                hint = "Make arrays contiguous before handing out their buffer."
                expect_same(weights, self.export(loaded), f"{form}, copy={copy}", hint)

    @law(since="0.1")
    def test_weights_allowed_to_be_missing_stay(self) -> None:
        """A missing weight named in ``allow_missing`` keeps its value; all others are set."""
        given, target = self.export(self.make(0)), self.target()
        original = self.export(target)
        for name in given:
            target = self.load(target, original)
            part = {other: array for other, array in given.items() if other != name}
            try:
                target = self.load(target, part, {name})
            except StructureError:
                continue
            wanted = {**given, name: original[name]}
            hint = "allow_missing only says which weights may be missing."
            expect_same(wanted, self.export(target), f"Without {name!r}", hint)


def _read_only(array: np.ndarray) -> np.ndarray:
    """Return ``array`` on memory that can never be written."""
    return np.ndarray(array.shape, array.dtype, array.tobytes())


def _strided(array: np.ndarray) -> np.ndarray:
    """Return a view with the values of ``array`` that skips every second element of its memory."""
    spread = np.zeros((*array.shape, 2), array.dtype)
    spread[..., 0] = array
    return spread[..., 0]
