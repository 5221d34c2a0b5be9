"""``MANIFEST.json.sig``: who vouches for a revision, by Ed25519 signatures over its digest.

The file is outside the manifest, so that a signature can be added without changing the revision.
This module reads and writes it; whether a signature is valid is computed in :mod:`dc_hub.trust`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from dc_hub.errors import FormatVersionError, SignatureError
from dc_hub.files.paths import list_names, open_directory, read_small
from dc_hub.files.system import Where
from dc_hub.format import strict_json
from dc_hub.format.filenames import SIGNATURE, SIGNATURES

MAX_BYTES: Final = 1 << 16
"""The maximum size of a signature file of either kind."""

MAX_SIGNATURES: Final = 100
ALGORITHM: Final = "ed25519"
FORMAT: Final = "dc-signatures"
FORMAT_VERSION: Final = (1, 0)

_KEYS: Final = frozenset({"format", "format_version", "signatures"})
_ENTRY_KEYS: Final = frozenset({"algorithm", "key_id", "signature"})
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_LENGTH: Final = 64


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature of 64 bytes, and the id of the key that is said to have made it."""

    key_id: str
    value: bytes


def message(revision: str) -> bytes:
    """Return the bytes that are signed for a revision.

    They begin with a text that nothing else begins with, so that a signature made for another
    purpose is never one for a revision, nor the other way round.
    """
    return f"dc-manifest-signature-v1\n{revision}\n".encode("ascii")


def is_key_id(text: str) -> bool:
    """Tell whether ``text`` can be the id of a key: 64 lower-case hex digits."""
    return _DIGEST.fullmatch(text) is not None


def parse_signatures(data: bytes, *, what: str = SIGNATURE) -> tuple[Signature, ...]:
    """Return the signatures in the content ``data`` of a file, sorted by key id.

    ``what`` names the file in messages. Raises :class:`SignatureError` if it is malformed or names
    a key twice, :class:`FormatVersionError` and :class:`LimitExceeded`.
    """
    content: Any = strict_json.loads(
        data, what=what, limit=MAX_BYTES, depth=4, error=SignatureError
    )
    if type(content) is not dict or content.get("format") != FORMAT:
        raise _malformed(what, "it is not a file of signatures")
    if content.get("format_version") != list(FORMAT_VERSION):
        raise FormatVersionError(
            f"{what} has version {content.get('format_version')!r}; "
            f"{list(FORMAT_VERSION)} is supported.",
            path=what,
            hint="Run: pip install --upgrade dc-hub",
        )
    entries = content.get("signatures")
    if content.keys() != _KEYS or type(entries) is not list:
        raise _malformed(what, "its keys are not those of a file of signatures")
    if len(entries) > MAX_SIGNATURES:
        raise _malformed(what, f"it has more than {MAX_SIGNATURES} signatures")
    found = sorted((_entry(entry, what) for entry in entries), key=lambda entry: entry.key_id)
    for one, other in pairwise(found):
        if one.key_id == other.key_id:
            raise _malformed(what, f"it has two signatures of the key {one.key_id}")
    return tuple(found)


def signature_bytes(signatures: Iterable[Signature]) -> bytes:
    """Return the content of ``MANIFEST.json.sig`` with these signatures: canonical JSON."""
    entries = [
        {
            "algorithm": ALGORITHM,
            "key_id": signature.key_id,
            "signature": base64.b64encode(signature.value).decode("ascii"),
        }
        for signature in sorted(signatures, key=lambda signature: signature.key_id)
    ]
    return strict_json.dumps(
        {"format": FORMAT, "format_version": list(FORMAT_VERSION), "signatures": entries}
    )


def merge_signatures(
    there: Mapping[str, bytes], added: Mapping[str, bytes], *, what: str = ""
) -> dict[str, bytes]:
    """Return the signature files ``there`` with those ``added``, by name.

    The signatures of one file are joined; of two by the same key, the one that is added stays. A
    bundle is one signature and is replaced. Raises what :func:`parse_signatures` raises; ``what``
    is the directory in messages.
    """
    merged = {**there, **added}
    if SIGNATURE in there and SIGNATURE in added:
        shown = f"{what}/{SIGNATURE}" if what else SIGNATURE
        joined = {
            signature.key_id: signature
            for files in (there, added)
            for signature in parse_signatures(files[SIGNATURE], what=shown)
        }
        if len(joined) > MAX_SIGNATURES:
            raise _malformed(shown, f"it would have more than {MAX_SIGNATURES} signatures")
        merged[SIGNATURE] = signature_bytes(joined.values())
    return merged


def read_signature_files(where: Where) -> dict[str, bytes]:
    """Return the content of each signature file in the model directory ``where``, by its name.

    Raises :class:`UnsafePath` for a link or anything else that is not a plain file, and
    :class:`LimitExceeded`.
    """
    with open_directory(where) as folder:
        names = set(list_names(folder))
        return {name: read_small(folder, name, MAX_BYTES) for name in SIGNATURES if name in names}


def _entry(entry: Any, what: str) -> Signature:
    if type(entry) is not dict or entry.keys() != _ENTRY_KEYS:
        raise _malformed(what, "a signature has other keys than algorithm, key_id and signature")
    if entry["algorithm"] != ALGORITHM:
        raise _malformed(what, f"a signature is not of the algorithm {ALGORITHM!r}")
    key_id, text = entry["key_id"], entry["signature"]
    if type(key_id) is not str or not is_key_id(key_id):
        raise _malformed(what, "a signature has a key_id that is not 64 hexadecimal digits")
    try:
        value = base64.b64decode(text, validate=True) if type(text) is str else b""
    except (binascii.Error, ValueError):
        value = b""
    if len(value) != _LENGTH or base64.b64encode(value).decode("ascii") != text:
        raise _malformed(what, f"a signature is not {_LENGTH} bytes in base64")
    return Signature(key_id, value)


def _malformed(what: str, why: str) -> SignatureError:
    return SignatureError(
        f"{what} is malformed: {why}.",
        path=what,
        hint="Get it again from where the model was published, or remove it and sign again: "
        "dc-hub sign MODEL --key NAME.",
    )
