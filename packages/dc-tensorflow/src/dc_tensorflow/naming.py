"""Names of layers that are the same for equal models.

Keras numbers the layers of a process: the first ``Dense`` without a name is ``dense``, the next
one, of whatever model, is ``dense_1``. Such names are numbered again within their model.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

_NUMBER = re.compile(r"_\d+$")
_DIRECTION = re.compile(r"(?:forward|backward)_")


def stable_names(layers: Iterable[tuple[str, str]]) -> list[str]:
    """Return a name for each of the layers of one model, given by class and name; all differ.

    A name that the user has given stays; the others count the layers of their class.
    """
    named = [(name, automatic_name(cls, name)) for cls, name in layers]
    taken = {name for name, automatic in named if automatic is None}
    names = []
    for name, automatic in named:
        chosen = name if automatic is None else unique_name(automatic, taken)
        taken.add(chosen)
        names.append(chosen)
    return names


def automatic_name(cls: str, name: str) -> str | None:
    """Return ``name`` without its number if Keras has made it of the class, None otherwise."""
    direction = _DIRECTION.match(name)
    prefix = direction.group() if direction else ""  # that of the layers of a Bidirectional
    letters = re.sub(r"\W+", "", cls).replace("_", "").lower()
    own = name.removeprefix(prefix)
    for base in (own, _NUMBER.sub("", own)):
        if base.replace("_", "") == letters:
            return prefix + base
    return None


def unique_name(name: str, taken: Collection[str]) -> str:
    """Return ``name``, with a number if it is taken."""
    chosen, number = name, 0
    while chosen in taken:
        number += 1
        chosen = f"{name}_{number}"
    return chosen
