"""A backend's description of itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from dc_core.errors import ParameterError


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """A backend's description of itself.

    ``versions`` maps the distributions that it needs to their versions. ``capabilities`` is a
    subset of ``weights``, ``skeleton``, ``components``, ``wrap`` and ``onnx``: the hooks that work.
    Raises :class:`ParameterError` if either is of another kind.
    """

    versions: Mapping[str, str]
    capabilities: frozenset[str] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        """Raise ParameterError unless the fields are a mapping of text and a set of text."""
        versions: object = self.versions
        if not isinstance(versions, Mapping) or not _are_text([*versions, *versions.values()]):
            raise ParameterError(
                f"`versions` is {versions!r}.",
                hint='Map each distribution to its version: {"torch": "2.9.0"}.',
            )
        capabilities: object = self.capabilities
        if not isinstance(capabilities, AbstractSet) or not _are_text(capabilities):
            raise ParameterError(
                f"`capabilities` is {capabilities!r}.",
                hint='Give a frozenset of names: frozenset({"weights"}).',
            )


def _are_text(values: Iterable[object]) -> bool:
    return all(isinstance(value, str) and value for value in values)
