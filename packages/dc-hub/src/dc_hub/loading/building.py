"""Build an object from a record: look up its class, upgrade old arguments, construct it.

A record contains registered names only; the installed packages and the caller decide which classes
they mean. Weights are neither allocated nor initialised if the backend can avoid it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np

from dc_core import Component, DCError, Model, plugins, registry
from dc_core.errors import NotClaimed, ParameterError
from dc_hub.conversion import with_path
from dc_hub.errors import ClassMismatch, FormatVersionError, ParamsError
from dc_hub.format import values
from dc_hub.format.record import Record

M = TypeVar("M", bound=Component)
T = TypeVar("T")


@dataclass(slots=True)
class Built(Generic[M]):
    """A constructed model, and the names of weights that its classes have changed since.

    ``renamed`` maps stored relative names to present ones.
    """

    model: M
    renamed: dict[str, str] = field(default_factory=dict)


def build_model(
    record: Record,
    arrays: Mapping[str, np.ndarray],
    cls: type[M],
    path: str,
    *,
    initialise: bool = False,
) -> Built[M]:
    """Construct the model that ``record`` describes, which must be a ``cls``.

    ``arrays`` are those that constructor arguments refer to; ``path`` is the file that errors name.
    With ``initialise`` weights get their initial values, because some of them will be kept.

    Raises :class:`UnknownClass`, :class:`BackendNotInstalled`, :class:`ClassMismatch`,
    :class:`FormatVersionError`, :class:`UnknownParameter`, :class:`MissingParameter` or
    :class:`ParamsError`.
    """
    if record.cls is None:
        raise ClassMismatch(
            "The class of the stored object is not registered: only its weights are stored.",
            path=path,
            hint="Construct it yourself and call dc_hub.load_weights(name, into=obj).",
        )
    builder = _Builder(path, initialise)
    classes = registry.models if issubclass(cls, Model) else registry.components
    stored = classes.stored_name(cls)
    local = record.cls.startswith(f"{registry.LOCAL}/")
    with with_path(path):
        if record.cls == stored:
            found: type[Any] | None = cls
        elif local or record.cls in registry.models.names():
            found = registry.models.lookup(record.cls)
        else:
            found = None
    if found is not None and not issubclass(found, cls):
        raise ClassMismatch(
            f"The stored model is a {record.cls}, not a {cls.__name__} or a subclass of it.",
            path=path,
            hint="Load it with dc_core.Model.from_pretrained, or with its own class.",
        )
    body = {
        "class": record.cls,
        "class_version": record.class_version,
        "backend": record.backend,
        "params": {
            name: values.decode(value, path=name, arrays=arrays, build=builder.build)
            for name, value in record.params.items()
        },
    }
    if found is not None:
        model = builder.construct(found, body, "")
    else:
        obj = builder.component(body, "")
        with with_path(path):
            model = obj if isinstance(obj, Component) else plugins.claim(obj).backend.wrap(obj)
    if not isinstance(model, cls):
        name = type(model).__name__
        raise ClassMismatch(
            f"What is stored is a {name}, not a {cls.__name__}.",
            path=path,
            hint=f"Load it with from_pretrained(..., cls={name}).",
        )
    return Built(model, builder.renamed)


class _Builder:
    """Constructs the objects of one record; the ``params`` of their bodies are decoded already."""

    def __init__(self, path: str, initialise: bool) -> None:
        self.path = path
        self.initialise = initialise
        self.renamed: dict[str, str] = {}

    def build(self, kind: str, body: Mapping[str, Any], where: str) -> Any:
        """Construct the nested object at ``where`` in the arguments: a model or a component."""
        if kind == "component":
            return self.component(body, where)
        name, backend = body["class"], body["backend"]
        with with_path(self.path):
            if name not in registry.models.names() and backend and backend not in plugins.BACKENDS:
                raise plugins.BACKENDS.missing(backend)
            cls = registry.models.lookup(name)
        return self.construct(cls, body, where)

    def component(self, body: Mapping[str, Any], where: str) -> Any:
        """Construct a registered component, or a framework's object that its backend knows."""
        name, backend = body["class"], body["backend"]
        with with_path(self.path):
            if backend is not None and name not in registry.components.names():
                served = plugins.backend(backend)
                make = partial(served.build_component, name, body["params"])
                skeleton = partial(served.skeleton, make)
                return _constructed(name, make if self.initialise else skeleton, self.path)
            cls = registry.components.lookup(name)
        return self.construct(cls, body, where)

    def construct(self, cls: type[Any], body: Mapping[str, Any], where: str) -> Any:
        """Construct a ``cls`` from stored arguments; upgrade those of an older version of it."""
        name, params = body["class"], dict(body["params"])
        version, present = body["class_version"], getattr(cls, "class_version", 1)
        if version > present:
            raise FormatVersionError(
                f"{name} was stored in version {version} of the class; version {present} is "
                "installed.",
                path=self.path,
                hint=f"Upgrade the package that defines {cls.__module__}.{cls.__qualname__}.",
            )
        with with_path(self.path):
            if version < present and hasattr(cls, "upgrade"):
                params, renamed = _constructed(
                    name, lambda: cls.upgrade(version, params), self.path
                )
                nested = where and issubclass(cls, Component)
                prefix = where.replace(".", "/") + "/" if nested else ""
                self.renamed |= {prefix + old: prefix + new for old, new in renamed.items()}
            backend = None if self.initialise else _backend_of(cls)
            return _constructed(name, lambda: registry.build(cls, params, backend), self.path)


def _backend_of(cls: type[Any]) -> str | None:
    """Return the backend that makes skeletons of ``cls``; no file has a say in it."""
    if issubclass(cls, Component):
        return cls.backend
    try:
        return plugins.backend_of(cls).name
    except NotClaimed:
        return None


def _constructed(name: str, build: Callable[[], T], path: str) -> T:
    """Return ``build()``, and raise :class:`ParamsError` if a constructor refuses its arguments."""
    try:
        return build()
    except Exception as error:
        if isinstance(error, DCError) and type(error) is not ParameterError:
            raise
        raise ParamsError(
            f"{name} cannot be constructed from its stored arguments: "
            f"{type(error).__name__}: {str(error).removesuffix('.')}.",
            path=path,
            hint="The file was edited, or the model was stored by another version of the class.",
        ) from error
