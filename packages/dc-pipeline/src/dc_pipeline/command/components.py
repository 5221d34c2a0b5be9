"""Make components from text: a registered name and parameters, never an import path.

A component is written in one of two ways. In flags, and as text in TOML files, it is a name with
parameters, ``ecfp:size=1024,radius=3``, whose values are TOML. As a table of a TOML file it is
``{name = "ecfp", size = 1024}``, and so are the components among another one's parameters.
"""

from __future__ import annotations

import inspect
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final

from dc_core import (
    Component,
    DCError,
    Estimator,
    Featurizer,
    Metric,
    Splitter,
    Transformer,
    plugins,
    registry,
)
from dc_core.errors import ParameterError, UnknownClass

ROLES: Final[Mapping[str, type[Component]]] = {
    "featurizer": Featurizer,
    "transformer": Transformer,
    "splitter": Splitter,
    "metric": Metric,
    "model": Estimator,
}
"""The classes of components that a run is made of, by what they are called."""

NAME: Final = "name"
"""The key of a table that makes it a component."""

SEEDS: Final = ("seed", "random_state")
"""The parameters that take the seed of a run."""

_BARE: Final = re.compile(r"[A-Za-z_][\w./+-]*")
_OPENING: Final = {"[": "]", "{": "}", '"': '"', "'": "'"}


@dataclass(frozen=True, slots=True)
class Spec:
    """A component as it is written: its name and its parameters."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, key: str, value: object) -> Spec:
        """Return what ``value``, text or a table, says; ``key`` is where it stands.

        Raises :class:`ParameterError` for anything else.
        """
        if isinstance(value, str):
            return cls.parse(value)
        if isinstance(value, Mapping) and isinstance(value.get(NAME), str):
            return cls(value[NAME], {k: v for k, v in value.items() if k != NAME})
        raise ParameterError(
            f"{key} is {value!r}, which is not a component.",
            hint='Write "ecfp:size=1024", or a table with the key name and the parameters.',
        )

    @classmethod
    def parse(cls, text: str) -> Spec:
        """Return what ``text`` says, such as ``ecfp:size=1024,radius=3``.

        Values are TOML; words need no quotes. Raises :class:`ParameterError` for anything else.
        """
        name, _, rest = text.partition(":")
        parameters: dict[str, Any] = {}
        for part in _parts(rest) if rest else ():
            key, equals, value = part.partition("=")
            if not equals or not key.strip().isidentifier():
                raise ParameterError(
                    f"{text!r} has {part!r} in the place of a parameter.",
                    hint="Write name:parameter=value,parameter=value.",
                )
            parameters[key.strip()] = parse_value(value)
        return cls(name.strip(), parameters)

    def table(self) -> dict[str, Any]:
        """Return the table that a TOML file has for it."""
        return {NAME: self.name, **self.parameters}


@dataclass(frozen=True, slots=True)
class Made:
    """A component that was made, and what it was made of: its full name, and all that was added."""

    component: Any
    spec: Spec


def parse_value(text: str) -> Any:
    """Return the TOML value that ``text`` is; a word without quotes is text.

    Raises :class:`ParameterError` for anything else.
    """
    stripped = text.strip()
    if stripped in ("True", "False"):
        return stripped == "True"
    try:
        return tomllib.loads(f"value = {stripped}")["value"]
    except tomllib.TOMLDecodeError:
        if _BARE.fullmatch(stripped):
            return stripped
    raise ParameterError(
        f"{stripped!r} is not a value.", hint='Write numbers, true, false, "text", or [lists].'
    )


def make(
    role: str,
    spec: Spec,
    *,
    seed: int | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Made:
    """Make a component that is a ``role``, a key of :data:`ROLES`.

    ``seed`` is given to a component that takes a seed and was given none. So are the ``facts`` of
    the data that it has parameters for, such as ``n_features``.

    Raises :class:`UnknownClass` if there is no such component, and :class:`ParameterError` if it is
    not a ``role``, or cannot be made of these parameters.
    """
    name = _full_name(role, spec.name)
    found = _built(name, spec.parameters, facts or {})
    if seed is not None:
        seeds = [s for s in SEEDS if s in found.takes and s not in found.parameters]
        if seeds:
            found = _built(name, {**found.parameters, **dict.fromkeys(seeds, seed)}, {})
    component = found.component
    if not isinstance(component, Component):
        component = plugins.claim(component).backend.wrap(component)
    if not isinstance(component, ROLES[role]):
        raise _not_a(role, name)
    return Made(component, Spec(name, found.parameters))


def names_of(role: str) -> Iterator[tuple[str, type]]:
    """Yield the registered names of all components that are a ``role``, with their classes.

    All classes are imported for that. Those that cannot be are left out;
    ``python -m dc_core plugins`` says why.
    """
    for registered in (registry.models, registry.components):
        for name in registered.names():
            try:
                cls = registered.lookup(name)
            except DCError:
                continue
            if issubclass(cls, ROLES[role]):
                yield name, cls


def parameters_of(cls: type) -> str:
    """Return the parameters of a component as text: ``radius=2, size=2048``."""
    _, *parameters = inspect.signature(cls.__init__).parameters.values()  # type: ignore[misc]
    named = [p for p in parameters if p.kind is not p.VAR_KEYWORD]
    texts = [p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in named]
    return ", ".join([*texts, *(["…"] if len(named) < len(parameters) else [])])


@dataclass(frozen=True, slots=True)
class _Built:
    """An object, the parameters that it was made of, and the names of those that it has."""

    component: Any
    parameters: Mapping[str, Any]
    takes: frozenset[str]


def _built(name: str, given: Mapping[str, Any], facts: Mapping[str, Any]) -> _Built:
    """Build the object registered as ``name``, or the framework's object of that name."""
    arguments = {key: _nested(value) for key, value in given.items()}
    registered = _registry_of(name)
    if registered is None:
        served = plugins.backend(name.partition("/")[0])
        made = _constructed(name, lambda: served.build_component(name, arguments))
        described = served.describe_component(made)
        return _Built(made, given, frozenset(described[1] if described else ()))
    cls = registered.lookup(name)
    signature = inspect.signature(cls.__init__).parameters
    more = {key: v for key, v in facts.items() if key in signature and key not in given}
    made = _constructed(name, lambda: cls(**arguments, **more))
    return _Built(made, {**given, **more}, _names_in(signature, made))


def _registry_of(name: str) -> registry.Registry | None:
    """Return the registry that has a class of this full name, None if neither has one."""
    found = (r for r in (registry.models, registry.components) if name in r.names())
    return next(found, None)


def _names_in(signature: Mapping[str, inspect.Parameter], made: Any) -> frozenset[str]:
    """Return the names of the parameters of ``made``, those included that ``**`` takes."""
    names = set(signature)
    if isinstance(made, Component):
        values = made.get_parameters()
        for key, parameter in signature.items():
            if parameter.kind is parameter.VAR_KEYWORD and isinstance(values.get(key), Mapping):
                names |= values[key].keys()
    return frozenset(names)


def _nested(value: Any) -> Any:
    """Return a parameter with objects for the tables in it that are components."""
    if isinstance(value, list):
        return [_nested(item) for item in value]
    if isinstance(value, Mapping):
        if isinstance(value.get(NAME), str):
            spec = Spec.of("A parameter", value)
            return _built(_full_name("", spec.name), spec.parameters, {}).component
        return {key: _nested(item) for key, item in value.items()}
    return value


def _constructed(name: str, build: Callable[[], Any]) -> Any:
    try:
        return build()
    except Exception as error:
        if isinstance(error, DCError):
            raise
        raise ParameterError(
            f"{name} cannot be made of these parameters: {type(error).__name__}: {error}."
        ) from error


def _full_name(role: str, given: str) -> str:
    """Return the registered name that ``given`` means.

    It is one itself, or the part after the namespace, in lower case and with hyphens if you like,
    and without the name of the role at its end: ``max-min`` is ``pipeline/MaxMinSplitter``.
    """
    names = [*registry.models.names(), *registry.components.names()]
    if given in names:
        return given
    namespace, slash, _ = given.partition("/")
    if slash and namespace in plugins.BACKENDS:
        return given
    found = [name for name in names if _plain(given) in _short(name, role)]
    if len(found) > 1:
        found = [name for name in found if role and _is(role, name)] or found
    if len(found) == 1:
        return found[0]
    if found:
        raise ParameterError(
            f"{given!r} may be {' or '.join(found)}.", hint="Write the name in full."
        )
    if slash and namespace in plugins.BACKENDS.known:
        raise plugins.BACKENDS.missing(namespace)
    shown = {short: name for name in names for short in _short(name, role)}
    near = get_close_matches(_plain(given), shown, 1)
    raise UnknownClass(
        f"There is no {role or 'component'} {given!r}.",
        hint=(f"Did you mean {shown[near[0]]!r}? " if near else "")
        + f"dc-pipeline components {role}".rstrip()
        + " lists the names.",
    )


def _short(name: str, role: str) -> list[str]:
    """Return the short forms of a registered name."""
    whole = _plain(name.partition("/")[2])
    return [_plain(name), whole, *([whole.removesuffix(role)] if role else [])]


def _plain(name: str) -> str:
    return name.casefold().replace("-", "").replace("_", "")


def _is(role: str, name: str) -> bool:
    registered = _registry_of(name)
    try:
        return registered is not None and issubclass(registered.lookup(name), ROLES[role])
    except DCError:
        return False


def _not_a(role: str, name: str) -> ParameterError:
    return ParameterError(
        f"{name} is not a {role}.", hint=f"dc-pipeline components {role} lists the names."
    )


def _parts(text: str) -> Iterator[str]:
    """Yield the parts of ``text`` between commas that are not in brackets or quotes."""
    closing: list[str] = []
    start = 0
    for i, character in enumerate(text):
        if closing and character == closing[-1]:
            closing.pop()
        elif character in _OPENING and (not closing or closing[-1] not in "\"'"):
            closing.append(_OPENING[character])
        elif character == "," and not closing:
            yield text[start:i]
            start = i + 1
    yield text[start:]
