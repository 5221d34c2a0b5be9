"""params.json, the record of a stored model: its registered class, its arguments, its weights.

Everything in it is data. Unknown keys are errors and not ignored, so that a file cannot contain a
setting (``trust_…``, ``verify``) that some reader would obey.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from dc_hub.errors import FormatVersionError, LimitExceeded, ParamsError, UnknownClass
from dc_hub.format import strict_json
from dc_hub.format.filenames import PARAMS
from dc_hub.format.header import name_fault

FORMAT: Final = "dc-model"
FORMAT_VERSION: Final = (1, 0)
FEATURES: Final[frozenset[str]] = frozenset()
"""The names in ``required_features`` that this version supports."""

MAX_BYTES: Final = 1 << 20

_CLASS: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/\w[\w.-]*")
_BACKEND: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_REQUIRED: Final = frozenset(
    {"format", "format_version", "class", "class_version", "backend", "params", "weights"}
)
_OPTIONAL: Final = frozenset({"classes", "metadata", "required_features"})


@dataclass(frozen=True, slots=True)
class StoredWeight:
    """The key of a weight in the weights file, and the native names that are tied to it."""

    native: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """The content of params.json.

    ``cls`` is the registered name of the class, or None for the weights of an object whose class is
    not registered. ``params`` are encoded (:mod:`dc_hub.format.values`). ``weights`` is by
    canonical name. ``metadata`` is any JSON object. ``classes`` are the names of the classes of
    each task whose labels have names, in the order of their numbers.
    """

    cls: str | None
    class_version: int
    backend: str | None
    params: Mapping[str, Any]
    weights: Mapping[str, StoredWeight]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    required_features: tuple[str, ...] = ()
    format_version: tuple[int, int] = FORMAT_VERSION

    @classmethod
    def of_weights(cls, names: Iterable[str]) -> Self:
        """Return the record of weights that nothing describes, by the native ``names``."""
        weights = {f"weights/{name}": StoredWeight(name) for name in names}
        return cls(cls=None, class_version=1, backend=None, params={}, weights=weights)

    def to_bytes(self) -> bytes:
        """Return the content of params.json: canonical JSON.

        Raises :class:`NotSerializable` for a value that JSON lacks, and :class:`LimitExceeded`
        beyond 1 MiB.
        """
        value: dict[str, Any] = {
            "format": FORMAT,
            "format_version": list(self.format_version),
            "class": self.cls,
            "class_version": self.class_version,
            "backend": self.backend,
            "params": dict(self.params),
            "weights": {
                name: {"native": weight.native, "aliases": list(weight.aliases)}
                for name, weight in self.weights.items()
            },
            "metadata": dict(self.metadata),
        }
        if self.classes:
            value["classes"] = {task: list(names) for task, names in self.classes.items()}
        if self.required_features:
            value["required_features"] = sorted(self.required_features)
        data = strict_json.dumps(value, what=PARAMS)
        if len(data) > MAX_BYTES:
            raise LimitExceeded(
                f"{PARAMS} would have {len(data)} bytes; the limit is {MAX_BYTES}.",
                path=PARAMS,
                hint="Pass long lists of numbers as arrays, which are stored with the weights.",
            )
        return data

    @classmethod
    def from_bytes(cls, data: bytes, *, what: str = PARAMS) -> Self:
        """Parse ``data``, the content of params.json; ``what`` names the file in messages.

        Raises :class:`ParamsError`, :class:`UnknownClass` for a malformed class name,
        :class:`FormatVersionError` or :class:`LimitExceeded`.
        """
        value = strict_json.loads(data, what=what, limit=MAX_BYTES)
        if type(value) is not dict or value.get("format") != FORMAT:
            raise ParamsError(
                f"{what} does not describe a model: its format is not {FORMAT!r}.", path=what
            )
        version = _checked_version(value, what)
        missing = sorted(_REQUIRED - value.keys())
        if missing:
            raise ParamsError(f"{what} lacks {', '.join(missing)}.", path=what)
        unknown = sorted(value.keys() - _REQUIRED - _OPTIONAL)
        if unknown and version <= FORMAT_VERSION:
            raise ParamsError(
                f"{what} has the unknown key {unknown[0]!r}.",
                path=what,
                hint="Files contain no settings. Remove the key, or get the model again.",
            )
        _check_kinds(value, what)
        return cls(
            cls=value["class"],
            class_version=value["class_version"],
            backend=value["backend"],
            params=value["params"],
            weights=_read_weights(value["weights"], what),
            metadata=value.get("metadata", {}),
            classes=_read_classes(value.get("classes", {}), what),
            required_features=tuple(value.get("required_features", ())),
            format_version=version,
        )


def _checked_version(value: Mapping[str, Any], what: str) -> tuple[int, int]:
    """Return the version, if it is supported: a newer minor one is, unless a feature is not."""
    version = value.get("format_version")
    if (
        type(version) is not list
        or len(version) != 2
        or not all(type(number) is int and number >= 0 for number in version)
    ):
        raise ParamsError(
            f"{what} has a format_version that is not two non-negative integers.", path=what
        )
    features = value.get("required_features", [])
    if type(features) is not list or not all(type(feature) is str for feature in features):
        raise ParamsError(f"{what} has required_features that are not a list of names.", path=what)
    beyond = sorted(set(features) - FEATURES)
    if version[0] != FORMAT_VERSION[0] or beyond:
        needs = f"the feature {beyond[0]!r}" if beyond else f"format {version[0]}.{version[1]}"
        raise FormatVersionError(
            f"{what} needs {needs}; format {FORMAT_VERSION[0]}.{FORMAT_VERSION[1]} is supported.",
            path=what,
            hint="Run: pip install --upgrade dc-hub",
        )
    return version[0], version[1]


def check_class(name: Any, version: Any, backend: Any, what: str) -> None:
    """Check the form of the class, class version and backend of a stored object.

    ``what`` names the object in messages. Raises :class:`UnknownClass` or :class:`ParamsError`.
    """
    if name is not None and (type(name) is not str or not _CLASS.fullmatch(name)):
        raise UnknownClass(
            f"{what} has the class {name!r}, which is not a registered name.",
            path=what,
            hint="A class is named '<namespace>/<Name>'; a file never names a module.",
        )
    if type(version) is not int or version < 1:
        raise ParamsError(f"{what} has a class_version that is not a positive integer.", path=what)
    if backend is not None and (type(backend) is not str or not _BACKEND.fullmatch(backend)):
        raise ParamsError(f"{what} has a backend that is not a name.", path=what)


def _check_kinds(value: Mapping[str, Any], what: str) -> None:
    check_class(value["class"], value["class_version"], value["backend"], what)
    for key in ("params", "weights", "metadata"):
        if type(value.get(key, {})) is not dict:
            raise ParamsError(f"{what} has {key} that are not a JSON object.", path=what)


def _read_classes(value: Any, what: str) -> dict[str, tuple[str, ...]]:
    """Parse the names of classes: for each task a list of different names, at least one."""
    if type(value) is not dict:
        raise ParamsError(f"{what} has classes that are not a JSON object.", path=what)
    for task, names in value.items():
        texts = type(names) is list and all(type(name) is str for name in names)
        if not texts or not names or len(set(names)) != len(names):
            raise ParamsError(
                f"{what} has classes of {task!r} that are not a list of different names.", path=what
            )
    return {task: tuple(names) for task, names in value.items()}


def _read_weights(value: Mapping[str, Any], what: str) -> dict[str, StoredWeight]:
    """Parse the weights; every native name and alias must be unique."""
    weights = {}
    taken: set[str] = set()
    for name, fields in value.items():
        if type(fields) is not dict or fields.keys() != {"native", "aliases"}:
            raise ParamsError(
                f"The weight {name!r} of {what} must have exactly the fields native and aliases.",
                path=what,
            )
        native, aliases = fields["native"], fields["aliases"]
        if type(aliases) is not list or not all(type(n) is str for n in (native, *aliases)):
            raise ParamsError(
                f"The weight {name!r} of {what} has names that are not strings.", path=what
            )
        for given in (name, native, *aliases):
            fault = name_fault(given)
            if fault is not None:
                raise ParamsError(
                    f"The weight {name!r} of {what} has the invalid name {given!r}: {fault}.",
                    path=what,
                )
        for given in (native, *aliases):
            if given in taken:
                raise ParamsError(
                    f"{what} uses the native name {given!r} twice.",
                    path=what,
                )
            taken.add(given)
        weights[name] = StoredWeight(native, tuple(aliases))
    return weights
