"""Where the weights of a component came from: links to stored models, which publishing records.

Loading sets them, training keeps them, and copies have them too. A component that is made anew from
its arguments has none, and neither has one that is fitted afresh: its former weights had no
influence. One that only holds others leaves the links to them when it is fitted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from dc_core.component import Component

_ATTRIBUTE: Final = "_dc_origins"


def origins_of(component: Component) -> tuple[Any, ...]:
    """Return the links that :func:`set_origins` set, none by default; not those of its parts."""
    found: tuple[Any, ...] = vars(component).get(_ATTRIBUTE, ())
    return found


def set_origins(component: Component, origins: Iterable[Any]) -> None:
    """Set where the weights of ``component`` came from. The links are for the hub to read."""
    object.__setattr__(component, _ATTRIBUTE, tuple(origins))
