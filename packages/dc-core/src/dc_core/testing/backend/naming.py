"""Laws on the names of weights, which stored models refer to."""

from __future__ import annotations

from collections import Counter

from dc_core.testing.backend.subject import BackendSubject
from dc_core.testing.fresh import in_fresh_process
from dc_core.testing.suite import LawBroken, law


class NamingLaws(BackendSubject):
    """Laws on the names of weights, which stored models refer to."""

    @law(since="0.1")
    def test_names_are_numbered_by_layer(self) -> None:
        """A weight's name is ``<layer>/<i>``, where ``i`` counts the layer's weights from 0."""
        count: Counter[str] = Counter()
        for name in self.describe(self.make(0)):
            layer, _, number = name.rpartition("/")
            if number != str(count[layer]) or "" in name.split("/"):
                expected = f"{layer}/{count[layer]}".strip("/")
                raise LawBroken(
                    f"A weight is named {name!r} instead of {expected!r}.",
                    hint="dc_core.number_by_layer makes the names from the native ones.",
                )
            count[layer] += 1

    @law(since="0.1")
    def test_native_names_are_unique(self) -> None:
        """Each native name, aliases included, is not empty and belongs to one weight."""
        table = self.describe(self.make(0))
        natives = Counter(name for i in table.values() for name in (i.native, *i.aliases))
        for native, times in natives.items():
            if not native or times > 1:
                raise LawBroken(
                    f"The native name {native!r} is used {times} times.",
                    hint="Use the framework's own full names, such as conv1.weight.",
                )

    @law(since="0.1")
    def test_names_are_the_same_for_every_object_of_one_architecture(self) -> None:
        """Objects made alike have the same names, native names and aliases in the same order."""
        first, second = (
            [(name, info.native, info.aliases) for name, info in self.describe(obj).items()]
            for obj in (self.make(0), self.make(0))
        )
        if first != second:
            raise LawBroken(
                f"One make(0) has {first}, another {second}.",
                hint="Derive the names from the object's structure alone.",
            )

    @law(since="0.1")
    def test_names_are_the_same_in_every_process(self) -> None:
        """Another process gives the same names in the same order."""
        here, there = self._names(), in_fresh_process(self, "_names")
        if there != here:
            raise LawBroken(
                f"This process has {here}; another has {there}.",
                hint="Names must not depend on id(), hash() or the order of a set.",
            )

    def _names(self) -> list[str]:
        return list(self.describe(self.make(0)))
