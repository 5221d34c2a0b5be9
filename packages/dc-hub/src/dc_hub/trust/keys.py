"""Keys: Ed25519 key pairs in PEM files, named by the digest of the public key.

A public key is a small text file, as ``openssl pkey -pubout`` writes it. Its id is the SHA-256 of
what the text encodes (the DER of its SubjectPublicKeyInfo), so that any tool can compute it. Ids
and names need no library; signing and checking signatures need ``cryptography``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Self

from dc_hub.errors import HubError, KeyFileError, SignatureError
from dc_hub.format.filenames import SIGNATURE
from dc_hub.format.signatures import Signature, message, signature_bytes

MAX_BYTES: Final = 1 << 14
"""The maximum size of the file of a key."""

INSTALL: Final = 'Run: pip install "dc-hub[sign]"'

_PEM: Final = re.compile(
    r"\s*-----BEGIN PUBLIC KEY-----\s+([A-Za-z0-9+/=\s]+?)\s+-----END PUBLIC KEY-----\s*"
)
_ED25519: Final = bytes.fromhex("302a300506032b6570032100")
"""The first bytes of the DER of an Ed25519 public key (RFC 8410); its 32 bytes follow."""

_CURVES: Final = {
    bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200"): 65,
    bytes.fromhex("3076301006072a8648ce3d020106052b81040022036200"): 97,
    bytes.fromhex("30819b301006072a8648ce3d020106052b8104002303818600"): 133,
}
"""The same for points of the NIST curves P-256, P-384 and P-521 (RFC 5480), and their lengths."""


@dataclass(frozen=True, slots=True, repr=False)
class PublicKey:
    """A public key: of Ed25519, or of an elliptic curve for the bundles of ``model-signing``."""

    der: bytes

    @classmethod
    def from_text(cls, text: str, *, what: str) -> Self:
        """Return the key in ``text``: PEM, or the base64 in it alone; ``what`` names it.

        Raises :class:`KeyFileError` if it is no public key of a kind that is supported.
        """
        pem = _PEM.fullmatch(text)
        try:
            der = base64.b64decode("".join((pem[1] if pem else text).split()), validate=True)
        except (binascii.Error, ValueError):
            der = b""
        lengths = {_ED25519: 32, **_CURVES}
        if not any(
            der.startswith(start) and len(der) == len(start) + n for start, n in lengths.items()
        ):
            raise KeyFileError(
                f"{what} is not a public key of Ed25519 or of a NIST curve.",
                path=what,
                hint="Give the file that `dc-hub key new` wrote for others: NAME.pub.",
            )
        return cls(der)

    def __repr__(self) -> str:
        return f"PublicKey({self.id!r})"

    @property
    def id(self) -> str:
        """The id: 64 hex digits, the SHA-256 of the DER."""
        return hashlib.sha256(self.der).hexdigest()

    @property
    def is_ed25519(self) -> bool:
        """Whether it checks signatures in ``MANIFEST.json.sig``; the others check bundles."""
        return self.der.startswith(_ED25519)

    def to_text(self) -> str:
        """Return the key as PEM."""
        text = base64.b64encode(self.der).decode("ascii")
        lines = [text[start : start + 64] for start in range(0, len(text), 64)]
        return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""])

    def verifies(self, signature: Signature, revision: str) -> bool:
        """Tell whether this Ed25519 key made ``signature`` for the revision.

        Raises :class:`SignatureError` if the library that tells is not installed.
        """
        if not self.is_ed25519 or signature.key_id != self.id:
            return False
        crypto = library(SignatureError, "Checking signatures")
        try:
            key = crypto.ed25519.Ed25519PublicKey.from_public_bytes(self.der[len(_ED25519) :])
            key.verify(signature.value, message(revision))
        except (crypto.invalid, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private Ed25519 key, which signs revisions. It shows nothing of itself."""

    public: PublicKey
    _private: Any = field(repr=False)

    @classmethod
    def generate(cls) -> Self:
        """Return a new key. Raises :class:`KeyFileError` if ``cryptography`` is not installed."""
        return cls.of(library(KeyFileError, "Signing").ed25519.Ed25519PrivateKey.generate())

    @classmethod
    def of(cls, private: Any) -> Self:
        """Return the key that is ``private``, an ``Ed25519PrivateKey`` of ``cryptography``."""
        return cls(PublicKey(_ED25519 + private.public_key().public_bytes_raw()), private)

    def to_bytes(self, passphrase: str | None = None) -> bytes:
        """Return the key as PKCS #8 PEM, encrypted if there is a ``passphrase``."""
        serialization = library(KeyFileError, "Signing").serialization
        encryption: Any = (
            serialization.BestAvailableEncryption(passphrase.encode())
            if passphrase
            else serialization.NoEncryption()
        )
        data: bytes = self._private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
        )
        return data

    def sign(self, manifest: bytes) -> dict[str, bytes]:
        """Return the signature file, by its name, with this key's signature of ``manifest``."""
        revision = hashlib.sha256(manifest).hexdigest()
        made = Signature(self.public.id, self._private.sign(message(revision)))
        return {SIGNATURE: signature_bytes([made])}

    def __reduce__(self) -> Any:
        """Refuse to be pickled: a private key belongs into its file alone."""
        raise TypeError("A private key cannot be pickled.")


def is_locked(data: bytes) -> bool:
    """Tell whether ``data``, the PEM of a private key, is encrypted."""
    return data.lstrip().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")


def load_private(data: bytes, passphrase: str | None = None, *, what: str) -> SigningKey | None:
    """Return the Ed25519 key in ``data``, the PEM of a private key; None if it is on a NIST curve.

    ``what`` names the file. Raises :class:`KeyFileError` if it is malformed, of another kind, or
    encrypted with another passphrase.
    """
    crypto = library(KeyFileError, "Signing")
    locked = is_locked(data)
    if locked and not passphrase:
        raise KeyFileError(
            f"{what} is encrypted, and no passphrase was given.",
            path=what,
            hint="Give passphrase=, or set DEEPCHEM_PASSPHRASE.",
        )
    try:
        key = crypto.serialization.load_pem_private_key(
            data, passphrase.encode() if locked and passphrase else None
        )
    except (ValueError, TypeError, crypto.unsupported) as error:
        why = "the passphrase is wrong, or it is damaged" if locked else "it is malformed"
        raise KeyFileError(
            f"{what} cannot be read: {why}.", path=what, hint="Check the file and try again."
        ) from error
    if isinstance(key, crypto.ed25519.Ed25519PrivateKey):
        return SigningKey.of(key)
    if not isinstance(key, crypto.ec.EllipticCurvePrivateKey):
        raise KeyFileError(
            f"{what} is a private key of another kind than Ed25519 or a NIST curve.",
            path=what,
            hint="Make one: dc-hub key new NAME.",
        )
    return None


class Library(NamedTuple):
    """The names used from ``cryptography``."""

    ec: Any
    ed25519: Any
    serialization: Any
    invalid: type[Exception]
    unsupported: type[Exception]


def library(error: type[HubError], purpose: str) -> Library:
    """Return the names used from ``cryptography``; raise ``error`` if it is not installed."""
    try:
        from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    except ModuleNotFoundError as missing:
        raise error(f"{purpose} needs cryptography.", hint=INSTALL) from missing
    return Library(ec, ed25519, serialization, InvalidSignature, UnsupportedAlgorithm)
