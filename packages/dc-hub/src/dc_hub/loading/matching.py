"""Which stored weight is which of the model's.

Stored weights carry two names: the canonical one, ``<model>/<layer>/<i>``, and the framework's own.
A release of a framework may rename its parts or put them in another order. So a weight is found by
its native name first, and by its canonical one where only the native name has changed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from dc_core import WeightInfo
from dc_hub.errors import WeightsMismatch
from dc_hub.format.record import StoredWeight


@dataclass(frozen=True, slots=True)
class Names:
    """The relative names of a holder's weights, and which of them each native name means."""

    relative: Collection[str]
    natives: Mapping[str, str]

    @classmethod
    def of(cls, natives: Mapping[str, Collection[str]]) -> Names:
        """Make it from the native names (aliases included) of each relative name."""
        return cls(natives, {n: relative for relative, all_ in natives.items() for n in all_ if n})

    def get(self, name: str) -> str:
        """Return the relative name that a native, canonical or relative ``name`` stands for.

        A name that stands for none is returned as it is: who takes the weights will refuse it.
        """
        if name in self.natives:
            return self.natives[name]
        within = name.partition("/")[2]
        return within if name not in self.relative and within in self.relative else name


def match(
    stored: Mapping[str, StoredWeight],
    table: Mapping[str, WeightInfo],
    renamed: Mapping[str, str],
) -> dict[str, str]:
    """Return the stored relative name for each relative name of the model.

    ``stored`` and ``table`` are by relative name. ``renamed`` maps stored relative names to present
    ones, where a class or the caller says so. A stored weight that ``table`` lacks keeps its name:
    what is not fitted yet has no table, and what has one will refuse it.
    """
    present = {n: name for name, info in table.items() for n in (info.native, *info.aliases) if n}
    found = {renamed.get(name, name): name for name in renamed if name in stored}
    rest = {name: weight for name, weight in stored.items() if name not in renamed}
    by_native = {
        present[native]: name
        for name, weight in rest.items()
        for native in (weight.native, *weight.aliases)
        if native in present
    }
    found |= {new: old for new, old in by_native.items() if new not in found}
    taken = set(found.values())
    for name in rest:
        if name in taken:
            continue
        if name in found:
            raise WeightsMismatch(
                f"Both {found[name]!r} and {name!r} are stored for the weight {name!r}.",
                hint="Say which is which: load_weights(..., rename={stored: present}).",
            )
        found[name] = name
    return found
