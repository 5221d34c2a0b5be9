"""Laws on weights that are easy to get wrong: tied, 0-d, empty, bfloat16, unusual floats."""

from __future__ import annotations

from typing import Any

import numpy as np

from dc_core.dtypes import dtype_name
from dc_core.testing.backend.subject import BackendSubject, expect_same, expect_same_prediction
from dc_core.testing.bits import peculiar_values
from dc_core.testing.suite import LawBroken, law


class SpecialLaws(BackendSubject):
    """Laws on weights that are easy to get wrong: tied, 0-d, empty, bfloat16, unusual floats."""

    @law(since="0.1")
    def test_tied_weights_appear_once(self) -> None:
        """A weight with two native names is one weight with an alias, and stays tied."""
        obj, other = self.make_tied(0), self.make_tied(1)
        table = self.describe(obj)
        if not any(info.aliases for info in table.values()):
            raise LawBroken(
                f"No weight has an alias: {[info.native for info in table.values()]}.",
                hint="Recognise one array under two names and give the second one as an alias.",
            )
        self._survives(obj, other)
        if self.describe(other) != table:
            raise LawBroken(
                "After an import the weights are no longer tied.",
                hint="Write into the shared array, or tie it again.",
            )

    @law(since="0.1")
    def test_zero_dimensional_weights_keep_their_shape(self) -> None:
        """A weight of shape () is exported and imported as such."""
        obj, other = self.make_scalar(0), self.make_scalar(1)
        if () not in [info.shape for info in self.describe(obj).values()]:
            raise LawBroken(
                "No weight has shape ().", hint="np.ascontiguousarray makes 0-d arrays 1-d."
            )
        self._survives(obj, other)

    @law(since="0.1")
    def test_empty_weights_keep_their_shape(self) -> None:
        """A weight without elements is exported and imported with its shape."""
        obj, other = self.make_empty(0), self.make_empty(1)
        if all(0 not in info.shape for info in self.describe(obj).values()):
            raise LawBroken("No weight is empty.", hint="Describe weights without elements too.")
        self._survives(obj, other)

    @law(since="0.1")
    def test_bfloat16_weights_are_exact(self) -> None:
        """Weights in bfloat16 keep their dtype and every bit."""
        obj, other = self.make_bfloat16(0), self.make_bfloat16(1)
        if "bfloat16" not in [dtype_name(info.dtype) for info in self.describe(obj).values()]:
            raise LawBroken(
                "No weight is described as bfloat16.",
                hint="Use dc_core.dtype_from_name('bfloat16').",
            )
        self._survives(obj, other)

    @law(since="0.1")
    def test_unusual_floats_are_exact(self) -> None:
        """NaN payloads, negative zeros and subnormals are imported bit for bit, or refused."""
        given, target = self.export(self.make(0)), self.target()
        hint = "Move floats as bits: no arithmetic, no conversion to another dtype and back."
        for name, array in given.items():
            for what, value in peculiar_values(array.dtype).items():
                weights = {**given, name: np.full_like(array, value)}
                filled = f"{name!r} filled with {what}"
                for copy in (True, False):
                    loaded = self.load_or_refuse(target, weights, filled, copy=copy)
                    if loaded is not None:
                        expect_same(weights, self.export(loaded), f"Given {filled}", hint)

    def _survives(self, obj: Any, other: Any) -> None:
        exported = self.export(obj)
        for name, info in self.describe(obj).items():
            array = exported[name]
            if (array.shape, array.dtype) != (info.shape, info.dtype):
                raise LawBroken(
                    f"{name!r} is described as {info.dtype}{info.shape} and exported as "
                    f"{array.dtype}{array.shape}.",
                    hint="Export every weight exactly as it is.",
                )
        other = self.load(other, exported)
        hint = "Import every weight exactly as it was exported."
        expect_same(exported, self.export(other), "After a round trip", hint)
        expect_same_prediction(self.predict(obj), self.predict(other), "After a round trip", hint)
