"""Laws on wrong weights: a typed error, and an unchanged object."""

from __future__ import annotations

from contextlib import suppress
from itertools import product

import numpy as np

from dc_core.errors import StructureError, WeightsMismatch
from dc_core.testing.backend.subject import BackendSubject, expect_same
from dc_core.testing.bits import mutants
from dc_core.testing.suite import LawBroken, law, skip

_MUTANTS = 200
"""About how many changed numbers are tried; all of them if there are fewer."""


class RejectingLaws(BackendSubject):
    """Laws on wrong weights: a typed error, and an unchanged object."""

    @law(since="0.1")
    def test_a_missing_name_is_rejected(self) -> None:
        """A missing weight is an error, and the object is unchanged."""
        given, target = self.export(self.make(0)), self.target()
        for name in given:
            part = {other: array for other, array in given.items() if other != name}
            self.reject(target, part, f"everything but {name!r}")

    @law(since="0.1")
    def test_a_surplus_name_is_rejected(self) -> None:
        """A weight that the object does not have is an error, and the object is unchanged."""
        given, target = self.export(self.make(0)), self.target()
        surplus = {**given, "surplus/0": np.zeros(3, np.float32)}
        self.reject(target, surplus, "a surplus weight")
        self.reject(target, surplus, "a surplus weight named in allow_missing", {"surplus/0"})

    @law(since="0.1")
    def test_a_wrong_shape_is_rejected(self) -> None:
        """A weight of another shape is an error, even if it would broadcast."""
        given, target = self.export(self.make(0)), self.target()
        for name, array in given.items():
            shapes = {(1, *array.shape), (1,), ()} - {array.shape}
            for shape in sorted(shapes, key=len):
                value = np.resize(array, shape)
                self.reject(target, {**given, name: value}, f"{name!r} of shape {shape}")

    @law(since="0.1")
    def test_a_wrong_dtype_is_rejected(self) -> None:
        """A weight of another dtype or byte order is an error: nothing is cast."""
        given, target = self.export(self.make(0)), self.target()
        for name, array in given.items():
            other = np.dtype(np.float32) if array.dtype == np.float64 else np.dtype(np.float64)
            values = [np.zeros(array.shape, dtype) for dtype in (other, np.dtype(np.int64))]
            for value in (*values, array.astype(array.dtype.newbyteorder())):
                if value.dtype == array.dtype:
                    continue
                weights, what = {**given, name: value}, f"{name!r} as {value.dtype}"
                self.reject(target, weights, what)
                for copy in (True, False):
                    loaded = self.load_or_refuse(self.blank(), weights, what, copy=copy)
                    if loaded is not None:
                        hint = "Nothing is cast."
                        expect_same(weights, self.export(loaded), f"Given {what}", hint)

    @law(since="0.1")
    def test_a_value_that_is_not_an_array_is_rejected(self) -> None:
        """A list or a number is not accepted as a weight."""
        given, target = self.export(self.make(0)), self.target()
        for name, array in given.items():
            self.reject(target, {**given, name: array.tolist()}, f"{name!r} as Python numbers")

    @law(since="0.1")
    def test_an_unfitted_object_takes_all_or_nothing(self) -> None:
        """An object without weights takes the complete state, or stays without weights."""
        blank, given = self.blank(), self.export(self.make(0))
        if self.describe(blank):
            skip("blank() has weights")
        with suppress(WeightsMismatch, StructureError):
            self.load(blank, {})
        if self.describe(blank):
            raise LawBroken(
                "Given nothing, it has weights.", hint="Leave it unchanged, or raise an error."
            )
        self.reject(blank, {**given, "surplus/0": np.zeros(3, np.float32)}, "a surplus weight")
        for name in given:
            part = {other: array for other, array in given.items() if other != name}
            self.reject(blank, part, f"everything but {name!r}")

    @law(since="0.1")
    def test_a_corrupted_structure_is_rejected(self) -> None:
        """Weights that contradict each other are an error, and the object is unchanged."""
        given, target = self.export(self.make(0)), self.target()
        for what, damaged in self.corrupt(given).items():
            for obj in (target, self.blank()):
                self.reject(obj, damaged, what)

    @law(since="0.1")
    def test_a_changed_number_is_imported_exactly_or_rejected(self) -> None:
        """With one number changed, the weights are imported exactly, or refused as a whole."""
        given, target = self.export(self.make(0)), self.target()
        changed = [
            (f"{name!r} with {what}", {**given, name: mutant})
            for name, array in given.items()
            for what, mutant in mutants(array)
        ]
        for what, weights in changed[:: 1 + len(changed) // _MUTANTS]:
            for obj, copy in product((target, self.blank()), (True, False)):
                loaded = self.load_or_refuse(obj, weights, what, copy=copy)
                if loaded is not None:
                    hint = "Import every value exactly, or raise StructureError."
                    expect_same(weights, self.export(loaded), f"Given {what} (copy={copy})", hint)
