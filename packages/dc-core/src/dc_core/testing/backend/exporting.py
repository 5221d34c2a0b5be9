"""Laws on describing and exporting weights: exact, deterministic, detached, without effects."""

from __future__ import annotations

import numpy as np

from dc_core.dtypes import dtype_name
from dc_core.errors import ParameterError
from dc_core.testing.backend.subject import BackendSubject, expect_same, expect_same_prediction
from dc_core.testing.bits import digest, flip, same_bits
from dc_core.testing.fresh import in_fresh_process
from dc_core.testing.suite import LawBroken, law


class ExportingLaws(BackendSubject):
    """Laws on describing and exporting weights: exact, deterministic, detached, without effects."""

    @law(since="0.1")
    def test_predicting_changes_nothing(self) -> None:
        """Predicting again gives the same bits, and changes no weight."""
        obj = self.make(0)
        before = self.export(obj)
        first, second = self.predict(obj), self.predict(obj)
        hint = "Put the object into its inference mode in make() and blank()."
        expect_same_prediction(first, second, "Predicted again", hint)
        expect_same(before, self.export(obj), "After predicting", hint)

    @law(since="0.1")
    def test_there_are_weights_and_predictions_depend_on_them(self) -> None:
        """Objects of different seeds have weights and predict differently."""
        if not self.describe(self.make(0)):
            raise LawBroken("make(0) has no weights.", hint="make() returns a fitted object.")
        if same_bits(self.predict(self.make(0)), self.predict(self.make(1))):
            raise LawBroken(
                "make(0) and make(1) predict the same, so no law could notice a lost weight.",
                hint="In make(), let the weights depend on the seed.",
            )

    @law(since="0.1")
    def test_describing_changes_nothing(self) -> None:
        """Describing does not change the object, and describing again gives the same result."""
        obj = self.make(0)
        predicted = self.predict(obj)
        first, second = self.describe(obj), self.describe(obj)
        if list(first.items()) != list(second.items()):
            raise LawBroken(
                f"The first description is {first}, the second {second}.",
                hint="Derive the description from the object alone.",
            )
        hint = "Read shapes and dtypes, and change nothing."
        expect_same_prediction(predicted, self.predict(obj), "After describing", hint)

    @law(since="0.1")
    def test_exporting_changes_nothing(self) -> None:
        """Exporting does not change the object."""
        obj = self.make(0)
        predicted, described = self.predict(obj), self.describe(obj)
        for copy in (True, False):
            self.export(obj, copy=copy)
            hint = "Copy the weights; do not change the object's dtype, device or mode."
            expect_same_prediction(predicted, self.predict(obj), f"After export(copy={copy})", hint)
            if self.describe(obj) != described:
                raise LawBroken(
                    f"After export(copy={copy}), its description is different.", hint=hint
                )

    @law(since="0.1")
    def test_exporting_again_gives_the_same_bits(self) -> None:
        """Exports of one object, and of two objects made alike, are equal bit for bit."""
        obj = self.make(0)
        first = self.export(obj)
        hint = "Exports must depend on the object's weights alone."
        expect_same(first, self.export(obj), "Exported again", hint)
        expect_same(first, self.export(self.make(0)), "Exported from make(0) made again", hint)

    @law(since="0.1")
    def test_exports_and_predictions_are_the_same_in_every_process(self) -> None:
        """Another process exports make(0) with the same bits, and predicts the same from them."""
        here, there = self._digests(), in_fresh_process(self, "_digests")
        for what, found in here.items():
            if there.get(what) != found:
                raise LawBroken(
                    f"{what} differs in another process.",
                    hint="make() and predict() must depend on the seed alone: not on hash(), "
                    "global random states or the order of a set.",
                )

    def _digests(self) -> dict[str, str]:
        exported = self.export(self.make(0))
        predicted = self.predict(self.load(self.blank(), exported))
        digests = {f"The weight {name!r}": digest(array) for name, array in exported.items()}
        return {**digests, "The prediction": digest(np.asarray(predicted))}

    @law(since="0.1")
    def test_exports_are_as_described(self) -> None:
        """Description and export agree in names, order, shapes and dtypes."""
        obj = self.make(0)
        hint = "Derive both from one walk over the object."
        described, exported = self.describe(obj), self.export(obj)
        if list(described) != list(exported):
            raise LawBroken(
                f"Described are {list(described)}; exported are {list(exported)}.", hint=hint
            )
        for name, info in described.items():
            array = exported[name]
            if (array.shape, array.dtype) != (info.shape, info.dtype):
                raise LawBroken(
                    f"{name!r} is described as {info.dtype}{info.shape} and exported as "
                    f"{array.dtype}{array.shape}.",
                    hint=hint,
                )

    @law(since="0.1")
    def test_exports_can_be_stored(self) -> None:
        """Exports are C-contiguous NumPy arrays of dtypes that can be stored."""
        for copy in (True, False):
            for name, array in self.export(self.make(0), copy=copy).items():
                if type(array) is not np.ndarray or not array.flags.c_contiguous:
                    raise LawBroken(
                        f"{name!r} is a {type(array).__name__} that is not plain and C-contiguous.",
                        hint="Return np.asarray(value, order='C').",
                    )
                try:
                    dtype_name(array.dtype)
                except ParameterError as error:
                    raise LawBroken(
                        f"{name!r} has dtype {array.dtype}.",
                        hint="Encode text and objects as numbers, or raise NotSerializable.",
                    ) from error

    @law(since="0.1")
    def test_exports_are_detached(self) -> None:
        """A copied export and the object share no memory."""
        obj = self.make(0)
        predicted, exported = self.predict(obj), self.export(obj)
        hint = "With copy=True, return writable arrays that nothing else refers to."
        kept = {name: array.copy() for name, array in exported.items()}
        for name, array in exported.items():
            if not array.flags.writeable:
                raise LawBroken(f"{name!r} is read-only.", hint=hint)
            flip(array)
        when = "After the exported arrays were changed"
        expect_same_prediction(predicted, self.predict(obj), when, hint)
        expect_same(kept, self.export(obj), when, hint)
        obj = self.target()
        exported = self.export(obj)
        kept = {name: array.copy() for name, array in exported.items()}
        obj = self.load(obj, self.export(self.make(0)))
        expect_same(kept, exported, "An earlier export, after other weights were loaded", hint)

    @law(since="0.1")
    def test_exports_without_copying_are_equal(self) -> None:
        """``copy=False`` gives the same bits as ``copy=True``."""
        obj = self.make(0)
        hint = "copy decides about memory, not about values."
        expect_same(self.export(obj), self.export(obj, copy=False), "With copy=False", hint)

    @law(since="0.1")
    def test_a_part_can_be_exported(self) -> None:
        """Exporting some names gives exactly those weights, unchanged."""
        obj = self.make(0)
        whole = self.export(obj)
        for names in ([], *([name] for name in whole), list(whole)[1:]):
            wanted = {name: whole[name] for name in names}
            hint = "Respect `names`: None means all, an empty collection means none."
            expect_same(wanted, self.export(obj, names), f"Asked for {names}", hint)
