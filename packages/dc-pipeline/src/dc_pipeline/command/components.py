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
from functools import partial
from typing import Any, Final, NamedTuple

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
"""The classes of the components of a run, by their role."""

NAME: Final = "name"
"""The key of a table that makes it a component."""

SEEDS: Final = ("seed", "random_state")
"""The parameters that take the seed of a run."""

_LIKENESS: Final = 0.65
"""How similar a name must be to a registered one, from 0 to 1, to be taken for it."""

_BARE: Final = re.compile(r"[A-Za-z_][\w./+-]*")
_OPENING: Final = {"[": "]", "{": "}", '"': '"', "'": "'"}


@dataclass(frozen=True, slots=True)
class Spec:
    """A component as it is written: its name and its parameters."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, key: str, value: object) -> Spec:
        """Return the component that ``value``, text or a table, describes; ``key`` is its place.

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
        """Return the name and arguments in ``text``, such as ``ecfp:size=1024,radius=3``.

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
    """A component with its full name and all its arguments, defaults included.

    ``within`` is the beginning of the paths of its parameters: ``estimator.`` if a framework's
    object is wrapped in it.
    """

    component: Any
    spec: Spec
    within: str = ""


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

    ``seed`` is given to a component that takes a seed and was given none, and to those among its
    parameters. So are the ``facts`` of the data that it has parameters for, such as ``n_features``.

    Raises :class:`UnknownClass` if there is no such component, and :class:`ParameterError` if it is
    not a ``role``, or cannot be made of these parameters.
    """
    name = _full_name(role, spec.name)
    found = _built(name, spec.parameters, facts or {}, seed)
    component, within = found.component, ""
    if not isinstance(component, Component):
        component = plugins.claim(component).backend.wrap(component)
        held = component.get_parameters().items()
        within = next((f"{key}." for key, value in held if value is found.component), "")
    if not isinstance(component, ROLES[role]):
        raise _not_a(role, name)
    return Made(component, Spec(name, found.parameters), within)


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


class _Built(NamedTuple):
    """An object, and the parameters that it was made of as they are written."""

    component: Any
    parameters: Mapping[str, Any]


def _built(
    name: str, given: Mapping[str, Any], facts: Mapping[str, Any], seed: int | None
) -> _Built:
    """Build the object registered as ``name``, or the framework's object of that name."""
    nested = {key: _nested(value, seed) for key, value in given.items()}
    arguments = {key: value for key, (value, _) in nested.items()}
    written = {key: text for key, (_, text) in nested.items()}
    registered = _registry_of(name)
    if registered is None:
        build = partial(_of_framework, name)
        made = build(arguments)
        described = plugins.claim(made).backend.describe_component(made)
        known = frozenset(described[1] if described else ())
    else:
        cls = registered.lookup(name)
        signature = inspect.signature(cls.__init__).parameters
        more = {key: v for key, v in facts.items() if key in signature and key not in given}
        arguments, written = {**arguments, **more}, {**written, **more}
        build = partial(_of_class, name, cls)
        made = build(arguments)
        known = _names_in(signature, made)
    seeds: dict[str, Any] = {
        s: seed for s in SEEDS if seed is not None and s in known and s not in given
    }
    return _Built(build({**arguments, **seeds}) if seeds else made, {**written, **seeds})


def _of_class(name: str, cls: type, arguments: Mapping[str, Any]) -> Any:
    return _constructed(name, lambda: cls(**arguments))


def _of_framework(name: str, arguments: Mapping[str, Any]) -> Any:
    served = plugins.backend(name.partition("/")[0])
    try:
        return _constructed(name, lambda: served.build_component(name, arguments))
    except UnknownClass as error:
        error.hint = f"{_guess(name, '')}{error.hint}"
        raise


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


def _nested(value: Any, seed: int | None) -> tuple[Any, Any]:
    """Return a parameter with objects for the components in it, and as it is written."""
    if isinstance(value, list):
        pairs = [_nested(item, seed) for item in value]
        return [made for made, _ in pairs], [written for _, written in pairs]
    if not isinstance(value, Mapping):
        return value, value
    if isinstance(value.get(NAME), str):
        spec = Spec.of("A parameter", value)
        name = _full_name("", spec.name)
        built = _built(name, spec.parameters, {}, seed)
        return built.component, Spec(name, built.parameters).table()
    found = {key: _nested(item, seed) for key, item in value.items()}
    return {k: made for k, (made, _) in found.items()}, {k: w for k, (_, w) in found.items()}


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
    listed = f"dc-pipeline components {role}".rstrip()
    raise UnknownClass(
        f"There is no {role or 'component'} {given!r}.",
        hint=f"{_guess(given, role)}{listed} lists the names.",
    )


def _guess(given: str, role: str) -> str:
    """Return a question about the registered name that is most like ``given``, if one is."""
    names = [*registry.models.names(), *registry.components.names()]
    namespace, slash, _ = given.partition("/")
    if slash and namespace in plugins.BACKENDS:
        own = {
            _plain(name.partition("/")[2]): name
            for name in names
            if name.startswith(f"{namespace}/")
        }
        near = get_close_matches(_plain(given.partition("/")[2]), own, 1, _LIKENESS)
        return f"Did you mean {own[near[0]]!r}? " if near else ""
    known = {short: name for name in names for short in _short(name, role)}
    near = get_close_matches(_plain(given), known, 1, _LIKENESS)
    return f"Did you mean {known[near[0]]!r}? " if near else ""


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
