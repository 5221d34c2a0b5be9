"""The hooks of a backend: those of Flax, Equinox and JAX differ in the objects that they serve."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dc_core import BackendInfo, WeightInfo, distributions, hookimpl
from dc_core.errors import NotClaimed
from dc_jax import components
from dc_jax import weights as named
from dc_jax.skeleton import skeleton

if TYPE_CHECKING:
    import numpy as np

    from dc_jax.model import JaxModel


@dataclass(frozen=True, eq=False)
class Hooks:
    """The hooks of one backend."""

    what: str
    """The objects that it serves, in words."""

    distributions: tuple[str, ...]
    """What it stands on, besides JAX."""

    serves: Callable[[Any], bool]
    """Whether it serves an object."""

    @hookimpl
    def dc_backend_info(self) -> BackendInfo:
        """Return the versions of dc-jax and the libraries, and the capabilities."""
        names = ("dc-jax", "jax", *self.distributions)
        versions = {name: distributions.version(name) for name in names}
        installed = {name: version for name, version in versions.items() if version}
        return BackendInfo(installed, frozenset({"weights", "skeleton", "components", "wrap"}))

    @hookimpl
    def dc_describe_weights(self, obj: Any) -> Mapping[str, WeightInfo]:
        """Describe the arrays of a module."""
        return named.describe_weights(self._checked(obj))

    @hookimpl
    def dc_export_weights(
        self, obj: Any, names: Collection[str] | None, copy: bool
    ) -> Mapping[str, np.ndarray]:
        """Return a module's arrays."""
        return named.export_weights(self._checked(obj), names, copy=copy)

    @hookimpl
    def dc_import_weights(
        self,
        obj: Any,
        weights: Mapping[str, np.ndarray],
        allow_missing: Collection[str],
        copy: bool,
    ) -> Any:
        """Return a module with these arrays."""
        return named.import_weights(self._checked(obj), weights, allow_missing, copy=copy)

    @hookimpl
    def dc_skeleton(self, build: Callable[[], Any]) -> Any:
        """Run ``build`` in a trace, so that arrays have forms and no values."""
        return skeleton(build)

    @hookimpl
    def dc_describe_component(self, obj: Any) -> tuple[str, Mapping[str, Any]] | None:
        """Return the stored name and arguments of a key, or of streams of random numbers."""
        return components.describe(obj)

    @hookimpl
    def dc_build_component(self, name: str, params: Mapping[str, Any]) -> Any:
        """Make a key, or streams of random numbers."""
        return components.build(name, params)

    @hookimpl
    def dc_wrap(self, obj: Any) -> JaxModel:
        """Return a :class:`JaxModel` around a module."""
        from dc_jax.model import JaxModel

        return JaxModel(self._checked(obj))

    def _checked(self, obj: Any) -> Any:
        if not self.serves(obj):
            raise NotClaimed(
                f"This backend serves {self.what}, not {type(obj).__name__}.",
                hint="Pass the module that it belongs to.",
            )
        return obj
