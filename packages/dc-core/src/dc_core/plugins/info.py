"""A backend's description of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """A backend's description of itself.

    ``versions`` maps the distributions that it needs to their versions. ``capabilities`` is a
    subset of ``weights``, ``skeleton``, ``components`` and ``wrap``: the hooks that work.
    """

    versions: Mapping[str, str]
    capabilities: frozenset[str] = field(default_factory=frozenset)
