"""Strict JSON: parsed without leniency, and written in canonical form.

Whatever two parsers could understand differently is an error: duplicate keys, NaN and Infinity,
numbers that overflow, a byte-order mark, carriage returns, lone surrogates. Length and depth are
measured on the bytes, before anything is built.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, NoReturn

from dc_hub.errors import HubError, LimitExceeded, NotSerializable, ParamsError

MAX_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 32
MAX_DIGITS: Final = 20

_STRING: Final = re.compile(rb'"[^"]*"?')
_AS_LISTS: Final = bytes.maketrans(b"{}", b"[]")
_CONTENT: Final = bytes(set(range(256)) - set(b'[]{},:"'))
_AS_ZEROS: Final = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER: Final = b"0" * MAX_DIGITS
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


def loads(
    data: bytes,
    *,
    what: str,
    limit: int = MAX_BYTES,
    depth: int = MAX_DEPTH,
    tokens: int | None = None,
    error: type[HubError] = ParamsError,
) -> Any:
    """Parse the JSON text ``data``.

    ``what`` names the text in messages and in the ``path`` of errors. ``limit`` is the maximum
    number of bytes, ``depth`` that of nested containers, and ``tokens`` that of the characters
    ``[]{},:"`` (None: no limit). Raises :class:`LimitExceeded` beyond these, and ``error`` for
    anything else that is wrong.
    """
    if len(data) > limit:
        raise LimitExceeded(f"{what} has {len(data)} bytes; the limit is {limit}.", path=what)
    if data.startswith(b"\xef\xbb\xbf"):
        raise error(f"{what} starts with a byte-order mark.", path=what, hint="Remove it.")
    if b"\r" in data:
        raise error(
            f"{what} contains carriage returns.",
            path=what,
            hint="Its line ends were converted; get the original file.",
        )
    _check_structure(data, what, depth, tokens)
    try:
        # Calling _bounded for each of 300 000 offsets takes longer than one search.
        decoder = _CAREFUL if _LONG_NUMBER in data.translate(_AS_ZEROS) else _FAST
        value = decoder.decode(data.decode("utf-8"))
        if _SURROGATE.search(data):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as cause:
        raise error(f"{what} is not valid JSON: {cause}.", path=what) from cause
    return value


def dumps(value: Any, *, what: str = "The value") -> bytes:
    """Return ``value`` as canonical JSON bytes, the inverse of :func:`loads`.

    Keys are sorted by code point and indented by two spaces; the text is UTF-8 with no escapes that
    JSON does not require, with LF as line end and at the end. Raises :class:`NotSerializable`,
    naming the place, for anything but dicts with str keys, lists, str, int, finite float, bool and
    None.
    """
    _check_plain(value, what, MAX_DEPTH)
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, indent=2)
    return text.encode("utf-8") + b"\n"


def _check_structure(data: bytes, what: str, depth: int, tokens: int | None) -> None:
    if data.count(b"{") + data.count(b"[") <= depth and (tokens is None or len(data) <= tokens):
        return
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    marks = data.translate(None, _CONTENT)
    if tokens is not None and len(marks) > tokens:
        raise LimitExceeded(f"{what} contains too many values.", path=what)
    marks = marks.translate(_AS_LISTS, b",:")
    brackets = marks.replace(b'""', b"")
    if b'"' in brackets:
        # A string contains brackets: remove the strings, which is slower.
        brackets = _STRING.sub(b"", marks)
    for _ in range(depth):
        if not brackets:
            return
        brackets = brackets.replace(b"[]", b"")
    # For brackets that are never closed, the parser says where they are.
    if b"[]" in brackets or brackets.count(b"[") > depth:
        raise LimitExceeded(f"{what} is nested more than {depth} deep.", path=what)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        ((twice, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {twice!r} appears twice")
    return value


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:40]} overflows")
    return value


def _bounded(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"the integer {text[:MAX_DIGITS]}… has more than {MAX_DIGITS} digits")
    return int(text)


def _decoder(parse_int: Callable[[str], int]) -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=_without_duplicates,
        parse_constant=_refuse_constant,
        parse_float=_finite,
        parse_int=parse_int,
    )


_CAREFUL: Final = _decoder(_bounded)
_FAST: Final = _decoder(int)
"""For a text without a long number."""


def _check_plain(value: Any, where: str, depth: int) -> None:
    kind = type(value)
    if kind is dict or kind is list:
        if depth == 0:
            raise NotSerializable(
                f"{where} is nested more than {MAX_DEPTH} deep, or contains itself.", path=where
            )
        for key, item in value.items() if kind is dict else enumerate(value):
            if kind is dict and type(key) is not str:
                raise NotSerializable(
                    f"{where} has the key {key!r}; keys must be str in JSON.", path=where
                )
            if kind is dict:
                _check_plain(key, where, depth)
            _check_plain(item, f"{where}.{key}", depth - 1)
    elif kind is str:
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise NotSerializable(f"{where} contains a lone surrogate: {value!r}.", path=where)
    elif kind is int:
        if abs(value) >= 10 ** (MAX_DIGITS - 1):
            raise NotSerializable(f"{where} is an integer with too many digits.", path=where)
    elif kind is float:
        if not math.isfinite(value):
            raise NotSerializable(f"{where} is {value}, which JSON cannot represent.", path=where)
    elif kind is not bool and value is not None:
        raise NotSerializable(
            f"{where} is a {kind.__name__}, which JSON cannot represent.",
            path=where,
            hint="Use dicts with str keys, lists, str, int, finite float, bool and None.",
        )
