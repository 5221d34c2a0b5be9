"""params.json: what a stored model is — its class by registered name, its arguments, its weights.

Everything in it is data. Unknown keys are refused rather than ignored, so that a file cannot carry
a setting (``trust_…``, ``verify``) that some reader would obey.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from dc_hub.errors import FormatVersionError, LimitExceeded, ParamsError, UnknownClass
from dc_hub.format import strict_json
from dc_hub.format.filenames import PARAMS
from dc_hub.format.header import name_fault

FORMAT: Final = "dc-model"
FORMAT_VERSION: Final = (1, 0)
FEATURES: Final[frozenset[str]] = frozenset()
"""The names that this version understands in ``required_features``."""

MAX_BYTES: Final = 1 << 20

_CLASS: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/\w[\w.-]*")
_BACKEND: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_REQUIRED: Final = frozenset(
    {"format", "format_version", "class", "class_version", "backend", "params", "weights"}
)
_OPTIONAL: Final = frozenset({"metadata", "required_features"})


@dataclass(frozen=True, slots=True)
class StoredWeight:
    """Where a weight lies: its key in the weights file, and further native names tied to it."""

    native: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """The content of params.json.

    ``cls`` is the registered name of the class, None for the weights of an object that no class was
    registered for. ``params`` are encoded (:mod:`dc_hub.format.values`).
    ``weights`` maps canonical names.
    ``metadata`` is any JSON.
    """

    cls: str | None
    class_version: int
    backend: str | None
    params: Mapping[str, Any]
    weights: Mapping[str, StoredWeight]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    required_features: tuple[str, ...] = ()
    format_version: tuple[int, int] = FORMAT_VERSION

    def to_bytes(self) -> bytes:
        """Return the content of params.json: canonical JSON.

        Raises :class:`NotSerializable` for what is no JSON, :class:`LimitExceeded` beyond 1 MiB.
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
        if self.required_features:
            value["required_features"] = sorted(self.required_features)
        data = strict_json.dumps(value, what=PARAMS)
        if len(data) > MAX_BYTES:
            raise LimitExceeded(
                f"{PARAMS} would have {len(data)} bytes; {MAX_BYTES} are allowed.",
                path=PARAMS,
                hint="Pass long lists of numbers as NumPy arrays: those lie beside the weights.",
            )
        return data

    @classmethod
    def from_bytes(cls, data: bytes, *, what: str = PARAMS) -> Self:
        """Return the record in ``data``, the content of the file that ``what`` names.

        Raises :class:`ParamsError`, :class:`UnknownClass` for a class that is no registered name's
        form, :class:`FormatVersionError` or :class:`LimitExceeded`.
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
                hint="No setting is taken from a file. Remove it, or get the model again.",
            )
        _check_kinds(value, what)
        return cls(
            cls=value["class"],
            class_version=value["class_version"],
            backend=value["backend"],
            params=value["params"],
            weights=_read_weights(value["weights"], what),
            metadata=value.get("metadata", {}),
            required_features=tuple(value.get("required_features", ())),
            format_version=version,
        )


def _checked_version(value: Mapping[str, Any], what: str) -> tuple[int, int]:
    """Return the version if it can be read: unknown minor ones too, features permitting."""
    version = value.get("format_version")
    if (
        type(version) is not list
        or len(version) != 2
        or not all(type(number) is int and number >= 0 for number in version)
    ):
        raise ParamsError(f"{what} has no format_version of two integers.", path=what)
    features = value.get("required_features", [])
    if type(features) is not list or not all(type(feature) is str for feature in features):
        raise ParamsError(f"{what} has required_features that are no list of names.", path=what)
    beyond = sorted(set(features) - FEATURES)
    if version[0] != FORMAT_VERSION[0] or beyond:
        needs = f"the feature {beyond[0]!r}" if beyond else f"format {version[0]}.{version[1]}"
        raise FormatVersionError(
            f"{what} needs {needs}; format {FORMAT_VERSION[0]}.{FORMAT_VERSION[1]} is understood.",
            path=what,
            hint="Run: pip install --upgrade dc-hub",
        )
    return version[0], version[1]


def check_class(name: Any, version: Any, backend: Any, what: str) -> None:
    """Raise unless an object of a file can be of that class, its version and backend.

    ``what`` names the object in messages. Raises :class:`UnknownClass` or :class:`ParamsError`.
    """
    if name is not None and (type(name) is not str or not _CLASS.fullmatch(name)):
        raise UnknownClass(
            f"{what} names the class {name!r}, which is no registered name.",
            path=what,
            hint="Classes are named '<namespace>/<Name>'; files never name modules.",
        )
    if type(version) is not int or version < 1:
        raise ParamsError(f"{what} has a class_version that is no integer from 1.", path=what)
    if backend is not None and (type(backend) is not str or not _BACKEND.fullmatch(backend)):
        raise ParamsError(f"{what} has a backend that is no name.", path=what)


def _check_kinds(value: Mapping[str, Any], what: str) -> None:
    check_class(value["class"], value["class_version"], value["backend"], what)
    for key in ("params", "weights", "metadata"):
        if type(value.get(key, {})) is not dict:
            raise ParamsError(f"{what} has {key} that are no object.", path=what)


def _read_weights(value: Mapping[str, Any], what: str) -> dict[str, StoredWeight]:
    """Return the weights; every native name and alias stands for one weight, and once."""
    weights = {}
    taken: set[str] = set()
    for name, fields in value.items():
        if type(fields) is not dict or fields.keys() != {"native", "aliases"}:
            raise ParamsError(f"The weight {name!r} of {what} needs native and aliases.", path=what)
        native, aliases = fields["native"], fields["aliases"]
        if type(aliases) is not list or not all(type(n) is str for n in (native, *aliases)):
            raise ParamsError(
                f"The weight {name!r} of {what} has names that are no text.", path=what
            )
        for given in (name, native, *aliases):
            fault = name_fault(given)
            if fault is not None:
                raise ParamsError(
                    f"The weight {name!r} of {what} has the name {given!r}, which is refused: "
                    f"{fault}.",
                    path=what,
                )
        for given in (native, *aliases):
            if given in taken:
                raise ParamsError(
                    f"{what} gives the native name {given!r} to two weights, or twice to one.",
                    path=what,
                )
            taken.add(given)
        weights[name] = StoredWeight(native, tuple(aliases))
    return weights
