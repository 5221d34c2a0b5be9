"""Describe an object for storing: its registered name, its arguments, its requirements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dc_core import Component, Model, WeightHolder, plugins, registry
from dc_hub.errors import NotSerializable
from dc_hub.format import values
from dc_hub.loading.missing import references


@dataclass(frozen=True, slots=True)
class Described:
    """The description of an object, apart from its weights.

    ``params`` are encoded (:mod:`dc_hub.format.values`), and ``arrays`` are those that they refer
    to. ``cls`` is None for an object of a framework that has no registered name. ``classes`` are
    those of the object and of its parts, and ``backends`` those that they are made with.
    """

    cls: str | None
    class_version: int
    backend: str | None
    params: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]
    classes: frozenset[type]
    backends: frozenset[str]


def describe(obj: Any, holder: WeightHolder) -> Described:
    """Describe ``obj``, whose weights ``holder`` holds.

    Raises :class:`NotSerializable`, naming the argument, for one that has no stored form.
    """
    description = registry.describe(obj) or _nameless(holder)
    backends = {description.backend, _chosen_backend(obj)}
    classes = {type(obj)}

    def nested(part: Any) -> Mapping[str, Any] | None:
        found = registry.describe(part)
        if found is None:
            return None
        _check_registered(part, found.name)
        backends.update((found.backend, _chosen_backend(part)))
        classes.add(type(part))
        return {"$model" if isinstance(part, Model) else "$component": _body(found)}

    arrays: dict[str, np.ndarray] = {}
    params = {
        key: values.encode(value, path=key, arrays=arrays, component=nested)
        for key, value in description.params.items()
    }
    names = {description.name, *(name for name, _ in references(params))}
    classes |= {registry.components.lookup(n) for n in names & {*registry.components.names()}}
    return Described(
        cls=description.name or None,
        class_version=description.version,
        backend=description.backend,
        params=params,
        arrays=arrays,
        classes=frozenset(classes),
        backends=frozenset(filter(None, backends)),
    )


def _chosen_backend(obj: Any) -> str | None:
    """Return the backend that a component has, whose class may leave the choice to the instance."""
    return obj.backend if isinstance(obj, Component) else None


def _nameless(holder: WeightHolder) -> registry.Description:
    """Describe a framework's object that has no stored form but its weights."""
    backend = holder.backend.name if isinstance(holder, plugins.Claimed) else None
    return registry.Description("", 1, backend, {})


def _body(description: registry.Description) -> dict[str, Any]:
    return {
        "class": description.name,
        "class_version": description.version,
        "backend": description.backend,
        "params": dict(description.params),
    }


def _check_registered(part: Any, name: str) -> None:
    """Raise unless loading can find the class of ``part``, which a model holds as an argument.

    The caller can supply the class of the model itself, but not those of its parts.
    """
    if name.startswith(f"{registry.LOCAL}/"):
        cls = type(part).__name__
        kind = "model" if isinstance(part, Model) else "component"
        raise NotSerializable(
            f"The model contains a {cls}, whose class has no registered name, so that loading "
            "could not find it.",
            path=cls,
            hint=f"Register the class: @dc_core.register_{kind}('<namespace>/{cls}').",
        )
