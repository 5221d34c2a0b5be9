"""Backends: finding the one that serves an object, and calling it.

The first class in an object's MRO whose top-level module is the name of a backend decides, so an
``XGBClassifier`` is served by xgboost and not by scikit-learn. Only that plugin is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from dc_core.errors import NotClaimed, PluginError, Unsupported
from dc_core.plugins.group import PluginGroup
from dc_core.plugins.hookspecs import BackendHooks
from dc_core.plugins.info import BackendInfo

if TYPE_CHECKING:
    import numpy as np

    from dc_core.weights import WeightInfo

T = TypeVar("T")

BACKENDS: Final = PluginGroup(
    "dc.backends.v1",
    BackendHooks,
    {
        "torch": "dc-torch",
        "keras": "dc-tensorflow",
        "tensorflow": "dc-tensorflow",
        "jax": "dc-jax",
        "flax": "dc-jax",
        "equinox": "dc-jax",
        "sklearn": "dc-sklearn",
        "xgboost": "dc-xgboost",
        "lightgbm": "dc-lightgbm",
        "onnx": "dc-onnx",
    },
)


CAPABILITIES: Final[Mapping[str, tuple[str, ...]]] = {
    "weights": ("dc_describe_weights", "dc_export_weights", "dc_import_weights"),
    "skeleton": ("dc_skeleton",),
    "components": ("dc_describe_component", "dc_build_component"),
    "wrap": ("dc_wrap",),
    "onnx": ("dc_export_onnx",),
}
"""The hooks of each capability."""


@dataclass(frozen=True, slots=True)
class Backend:
    """One backend, by the name of its entry point.

    Each method raises :class:`Unsupported` if the plugin does not implement it, and the errors of
    :meth:`PluginGroup.load` if the plugin is missing, broken or in conflict.
    """

    name: str
    group: PluginGroup = field(default=BACKENDS, repr=False, compare=False)

    def info(self) -> BackendInfo:
        """Return the backend's description of itself.

        Raises :class:`BackendBroken` if its hook raises or returns something else, and
        :class:`OutOfResources` if it may return it later.
        """
        try:
            info = self._call("dc_backend_info")
            if not isinstance(info, BackendInfo):
                raise TypeError(
                    f"dc_backend_info returned a {type(info).__name__}, not a BackendInfo"
                )
        except (KeyboardInterrupt, GeneratorExit, PluginError):
            raise
        except BaseException as error:
            raise self.group.broken(self.name, error) from error
        return info

    def supports(self, capability: str) -> bool:
        """Tell whether the backend implements every hook of ``capability``."""
        return all(self.group.implements(self.name, hook) for hook in CAPABILITIES[capability])

    def skeleton(self, build: Callable[[], T]) -> T:
        """Return ``build()``, without allocating or initialising weights if the backend can."""
        if not self.supports("skeleton"):
            return build()
        built: T = self._call("dc_skeleton", build=build)
        return built

    def describe_component(self, obj: Any) -> tuple[str, Mapping[str, Any]] | None:
        """Return the stored name and the arguments of the framework's object, None without one."""
        if not self.supports("components"):
            return None
        found: tuple[str, Mapping[str, Any]] | None = self._do("dc_describe_component", obj=obj)
        return found

    def build_component(self, name: str, params: Mapping[str, Any]) -> Any:
        """Build the framework's object from its stored name and arguments."""
        return self._call("dc_build_component", name=name, params=params)

    def wrap(self, obj: Any) -> Any:
        """Return a :class:`dc_core.Model` around the framework's object."""
        return self._call("dc_wrap", obj=obj)

    def export_onnx(self, model: Any, X: Any) -> bytes:
        """Return an ONNX model that computes ``model.predict`` for rows like those of ``X``."""
        exported: bytes = self._call("dc_export_onnx", model=model, X=X)
        return exported

    def _call(self, hook: str, **arguments: Any) -> Any:
        result = self._do(hook, **arguments)
        if result is None:
            raise self._unsupported(f"returns nothing from {hook}")
        return result

    def _do(self, hook: str, **arguments: Any) -> Any:
        if not self.group.implements(self.name, hook):
            raise self._unsupported(f"does not implement {hook}")
        results = self.group.call(self.name, hook, **arguments)
        return results[0] if results else None

    def _unsupported(self, what: str) -> Unsupported:
        return Unsupported(
            f"The backend {self.name!r} {what}.", hint="Upgrade it, or ask its authors."
        )


@dataclass(frozen=True, slots=True)
class Claimed:
    """An object of a framework and the backend that serves it."""

    backend: Backend
    obj: Any

    def describe_weights(self) -> dict[str, WeightInfo]:
        """Describe every weight by its relative name, without allocating it."""
        return dict(self.backend._call("dc_describe_weights", obj=self.obj))

    def export_weights(
        self, names: Collection[str] | None = None, *, copy: bool = True
    ) -> dict[str, np.ndarray]:
        """Return the weights in ``names``, or all; ``copy=False`` may share memory."""
        return dict(self.backend._call("dc_export_weights", obj=self.obj, names=names, copy=copy))

    def import_weights(
        self,
        weights: Mapping[str, np.ndarray],
        allow_missing: Collection[str] = (),
        *,
        copy: bool = True,
    ) -> Any:
        """Return the object with these weights, all or nothing; ``copy=False`` may keep the arrays.

        It is the same object, or a new one if it is immutable.
        """
        return self.backend._call(
            "dc_import_weights",
            obj=self.obj,
            weights=weights,
            allow_missing=allow_missing,
            copy=copy,
        )


def backend_of(cls: type, group: PluginGroup = BACKENDS) -> Backend:
    """Return the backend that serves objects of class ``cls``, importing nothing.

    Raises :class:`BackendNotInstalled` if the first framework in the MRO is a known one whose
    backend is missing (the backend of a base class would lose what the framework adds), and
    :class:`NotClaimed` if no backend serves the class.
    """
    for base in cls.__mro__:
        top = base.__module__.partition(".")[0]
        if top in group:
            return Backend(top, group)
        if top in group.known:
            raise group.missing(top)
    raise NotClaimed(
        f"No backend serves objects of type {cls.__module__}.{cls.__qualname__}.",
        hint=f"Installed backends serve: {', '.join(group) or 'nothing'}.",
    )


def claim(obj: Any, group: PluginGroup = BACKENDS) -> Claimed:
    """Return ``obj`` with the backend that serves it; see :func:`backend_of`."""
    return Claimed(backend_of(type(obj), group), obj)
