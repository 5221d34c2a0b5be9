"""The content of a file of another program, as a converter reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Foreign:
    """The content of a file of another program.

    It is either an ``obj`` of a framework whose backend can store it, or arrays: ``weights`` by
    the names that the ``backend`` gives them, in its order. The parts of a name are separated by
    ``separator``, and ``aliases`` are the further names of tied weights.

    ``what`` says what the file is. ``facts`` are other plain data about the model (JSON values).
    ``omitted`` maps what is not converted to the reason, so that nothing is dropped silently.
    ``versions`` are those of the distributions that read the file.
    """

    what: str
    obj: Any = None
    backend: str | None = None
    weights: Mapping[str, np.ndarray] = field(default_factory=dict)
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    separator: str = "."
    facts: Mapping[str, Any] = field(default_factory=dict)
    omitted: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
