"""Match stored weights to the model's, by name and never by position.

Stored weights carry two names: the framework's own (``norm.weight``) and the canonical one,
``<model>/<layer>/<i>``, whose last part is a position. A weight is the model's weight of the same
native name. A release of a framework may rename its parts or put them in another order: then the
caller, or the class's ``upgrade``, says which is which, because equal positions and equal shapes
prove nothing (a LayerNorm's scale and shift have both).
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
        """Build it from the native names (aliases included) of each relative name."""
        return cls(natives, {n: relative for relative, all_ in natives.items() for n in all_ if n})

    def get(self, name: str) -> str:
        """Return the relative name for a native, canonical or relative ``name``.

        An unknown name is returned as it is; importing the weights will refuse it.
        """
        if name in self.natives:
            return self.natives[name]
        within = name.partition("/")[2]
        return within if name not in self.relative and within in self.relative else name


def match(
    stored: Mapping[str, StoredWeight],
    table: Mapping[str, WeightInfo],
    renamed: Mapping[str, str],
) -> tuple[dict[str, str], list[str]]:
    """Return the stored name of each of the model's weights, and the unmatched stored names.

    All names are relative, those of ``stored`` and ``table`` too. ``renamed`` maps stored names to
    present ones, as the class or the caller gives them. A stored weight that is not in ``table``
    keeps its name: a part that is not fitted yet has no table, and a part that has one will refuse
    the weight.

    Raises :class:`WeightsMismatch` if two stored weights match one of the model's.
    """
    present = {n: name for name, info in table.items() for n in (info.native, *info.aliases) if n}
    found: dict[str, str] = {}
    unmatched = []
    for old, weight in stored.items():
        natives = (weight.native, *weight.aliases)
        new = renamed.get(old) or next((present[n] for n in natives if n in present), None)
        if new is None and old not in table:
            new = old
        if new is None:
            unmatched.append(old)
        elif new in found:
            raise WeightsMismatch(
                f"Both {found[new]!r} and {old!r} are stored for the weight {new!r}.",
                hint="Name one of them otherwise: load_weights(..., rename={stored: present}).",
            )
        else:
            found[new] = old
    return found, unmatched


def probable_renames(
    stored: Mapping[str, StoredWeight],
    unmatched: Collection[str],
    table: Mapping[str, WeightInfo],
    missing: Collection[str],
) -> dict[str, str]:
    """Return the native names that unmatched weights may have now, for the caller to confirm.

    A name is proposed only if a layer has exactly one unmatched stored weight and one missing one.
    """

    def by_layer(names: Collection[str]) -> dict[str, list[str]]:
        layers: dict[str, list[str]] = {}
        for name in names:
            layers.setdefault(name.rpartition("/")[0], []).append(name)
        return layers

    lacking = by_layer(missing)
    return {
        stored[old[0]].native or old[0]: table[lacking[layer][0]].native or lacking[layer][0]
        for layer, old in by_layer(unmatched).items()
        if len(old) == 1 and len(lacking.get(layer, ())) == 1
    }
