"""Laws on importing weights: everything comes back, and nothing is shared that should not be."""

from __future__ import annotations

import numpy as np

from dc_core.errors import StructureError
from dc_core.testing.backend.subject import BackendSubject, expect_same, expect_same_prediction
from dc_core.testing.bits import flip
from dc_core.testing.suite import LawBroken, law


class ImportingLaws(BackendSubject):
    """Laws on importing weights: everything comes back, and nothing is shared in secret."""

    @law
    def test_a_round_trip_restores_predictions(self) -> None:
        """A blank object with the weights of another predicts the same, to the bit."""
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

    @law
    def test_a_round_trip_restores_every_weight(self) -> None:
        """A blank object exports exactly the weights that it was given."""
        obj = self.make(0)
        for copy in (True, False):
            loaded = self.load(self.blank(), self.export(obj), copy=copy)
            hint = "Set every weight that is described, uncast."
            expect_same(self.export(obj), self.export(loaded), f"Loaded with copy={copy}", hint)
            if self.describe(loaded) != self.describe(obj):
                raise LawBroken(f"Loaded with copy={copy}, it is described otherwise.", hint=hint)

    @law
    def test_weights_replace_those_of_an_object_in_use(self) -> None:
        """An object that has already predicted predicts with the new weights after an import."""
        obj, target = self.make(0), self.target()
        self.predict(target)
        target = self.load(target, self.export(obj))
        hint = "Drop whatever the object has cached from its old weights."
        expect_same_prediction(self.predict(obj), self.predict(target), "After the import", hint)

    @law
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

    @law
    def test_importing_changes_no_given_array(self) -> None:
        """The given arrays are read and never written, nor by predicting afterwards."""
        weights = self.export(self.make(0))
        kept = {name: array.copy() for name, array in weights.items()}
        for copy in (True, False):
            self.predict(self.load(self.blank(), weights, copy=copy))
            expect_same(kept, weights, f"After import(copy={copy})", "Work on a copy.")

    @law
    def test_read_only_arrays_are_imported(self) -> None:
        """Arrays that cannot be written, such as those of a mapped file, are as good as any."""
        obj = self.make(0)
        weights = self.export(obj)
        weights = {name: _read_only(array) for name, array in weights.items()}
        for copy in (True, False):
            loaded = self.load(self.blank(), weights, copy=copy)
            hint = "copy=False permits to keep an array; copy it where the framework must own it."
            expect_same(self.export(obj), self.export(loaded), f"Read-only, copy={copy}", hint)

    @law
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

    @law
    def test_weights_allowed_to_be_missing_stay(self) -> None:
        """A weight named in ``allow_missing`` and absent stays; all others are set."""
        given = self.export(self.make(0))
        for name in given:
            target = self.target()
            wanted = {**given, name: self.export(target)[name]}
            part = {other: array for other, array in given.items() if other != name}
            try:
                target = self.load(target, part, {name})
            except StructureError:
                continue
            hint = "allow_missing permits absence and changes nothing else."
            expect_same(wanted, self.export(target), f"Without {name!r}", hint)


def _read_only(array: np.ndarray) -> np.ndarray:
    """Return ``array`` on memory that can never be written."""
    return np.ndarray(array.shape, array.dtype, array.tobytes())


def _strided(array: np.ndarray) -> np.ndarray:
    """Return a view with the values of ``array`` that skips every second element of its memory."""
    spread = np.zeros((*array.shape, 2), array.dtype)
    spread[..., 0] = array
    return spread[..., 0]
