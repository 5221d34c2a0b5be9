"""Replace constructor arguments of an object and of its nested components, by path."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from inspect import Parameter, signature
from typing import Any, TypeVar

from dc_core import plugins, registry
from dc_core.component import Component
from dc_core.errors import ParameterError, UnknownParameter
from dc_core.parameters import construct

T = TypeVar("T")


def with_parameters(obj: T, parameters: Mapping[str, Any]) -> T:
    """Return a new object like ``obj`` with other constructor arguments, named by their paths.

    ``obj`` is a component, or an object of a framework whose backend can make it again. A path
    leads through arguments, and through numbers in lists and keys in dictionaries:
    ``{"model.estimator.max_depth": 3, "transformers.0": ClippingTransformer(3)}``. Parts that no
    path names are used as they are, not copied.

    Raises :class:`UnknownParameter` for a path that leads nowhere, with the nearest that does, and
    :class:`ParameterError` for two paths of which one leads through the other.
    """
    tree: dict[str, Any] = {}
    for path, value in parameters.items():
        node = tree
        *parts, last = path.split(".")
        for part in parts:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise _overlap(path)
        if last in node:
            raise _overlap(path)
        node[last] = _Value(value)
    replaced: T = _replaced(obj, tree, "")
    return replaced


class _Value:
    """A new value, which is told apart from a branch of the tree of paths."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _replaced(old: Any, node: Any, where: str) -> Any:
    """Return ``old`` with the replacements in ``node``, the tree of paths from here on."""
    if isinstance(node, _Value):
        return node.value
    if isinstance(old, Mapping):
        known: dict[str, Any] = {str(key): key for key in old}
        found = {_known(part, known, old, where): branch for part, branch in node.items()}
        changed = {key: _replaced(old[key], b, f"{where}{key}.") for key, b in found.items()}
        return {**old, **changed}
    if isinstance(old, list | tuple):
        numbers = {str(i): i for i in range(len(old))}
        items = list(old)
        for part, branch in node.items():
            i = _known(part, numbers, old, where)
            items[i] = _replaced(items[i], branch, f"{where}{part}.")
        return tuple(items) if isinstance(old, tuple) else items
    described = registry.describe(old)
    if described is None:
        raise UnknownParameter(
            f"{where[:-1]!r} is a {type(old).__name__}, of which no parameters are known.",
            hint="Give a whole value for it, or tune a function that builds the pipeline.",
        )
    arguments = dict(described.params)
    cls = type(old)
    captured = isinstance(old, Component) or registry.components.name_of(cls) is not None
    rest = _keywords(cls) if captured else None
    for part, branch in node.items():
        inner = f"{where}{part}."
        if rest is not None and part not in arguments:
            # The constructor itself refuses options that it does not have.
            options = arguments[rest]
            arguments[rest] = {**options, part: _replaced(options.get(part), branch, inner)}
        else:
            name = _known(part, {name: name for name in arguments}, old, where)
            arguments[name] = _replaced(arguments[name], branch, inner)
    if captured:
        return construct(cls, arguments)
    return plugins.claim(old).backend.build_component(described.name, arguments)


def _keywords(cls: type) -> str | None:
    """Return the name of the parameter that takes the constructor's other options, if any."""
    if cls.__init__ is object.__init__:  # type: ignore[misc]
        return None
    parameters = signature(cls.__init__).parameters.values()  # type: ignore[misc]
    return next((p.name for p in parameters if p.kind is Parameter.VAR_KEYWORD), None)


def _known(part: str, known: Mapping[str, Any], owner: Any, where: str) -> Any:
    """Return the value that one part of a path names in ``owner``."""
    if part in known:
        return known[part]
    nearest = get_close_matches(part, known, n=1)
    guess = f"Did you mean {where}{nearest[0]}? " if nearest else ""
    raise UnknownParameter(
        f"There is no {where}{part}: this {type(owner).__name__} has no {part!r}.",
        hint=f"{guess}It has: {', '.join(known) or 'nothing'}.",
    )


def _overlap(path: str) -> ParameterError:
    return ParameterError(
        f"{path!r} leads through another path.", hint="Replace the whole, or parts of it."
    )
