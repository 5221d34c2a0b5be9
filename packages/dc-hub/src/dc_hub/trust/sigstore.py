"""``MANIFEST.json.sigstore``: bundles of OpenSSF model-signing, over ``MANIFEST.json`` alone.

Since the manifest names every file with its digest, a signature of this one file is one of all.
``model_signing verify key MANIFEST.json --signature MANIFEST.json.sigstore`` checks the same
bundle. Keys are on a NIST curve; no network and no transparency log are needed.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dc_hub.errors import KeyFileError, SignatureError
from dc_hub.format import strict_json
from dc_hub.format.filenames import BUNDLE, MANIFEST
from dc_hub.format.signatures import MAX_BYTES
from dc_hub.trust.keys import PublicKey, library

INSTALL = 'Run: pip install "dc-hub[sigstore]"'


@dataclass(frozen=True, slots=True)
class BundleSigner:
    """Signs with the private key on a NIST curve in the PEM file ``private_key``."""

    private_key: Path
    passphrase: str | None = field(default=None, repr=False)

    def sign(self, manifest: bytes) -> dict[str, bytes]:
        """Return the signature file, by its name: a bundle that signs ``manifest``."""
        signing = _library().signing
        with tempfile.TemporaryDirectory(prefix="dc-hub-") as folder:
            file = Path(folder, MANIFEST)
            file.write_bytes(manifest)
            bundle = Path(folder, BUNDLE)
            try:
                signing.Config().use_elliptic_key_signer(
                    private_key=self.private_key,
                    password=self.passphrase.encode() if self.passphrase else None,
                ).sign(file, bundle)
            except (ValueError, TypeError) as error:
                raise KeyFileError(
                    f"{self.private_key} cannot sign a bundle: {error}.",
                    path=str(self.private_key),
                    hint="Give a private key on the curve P-256, P-384 or P-521, in PEM, and its "
                    "passphrase.",
                ) from error
            return {BUNDLE: bundle.read_bytes()}


def bundle_key(bundle: bytes, keys: Iterable[PublicKey], *, what: str) -> PublicKey | None:
    """Return which of ``keys`` is said to have made ``bundle``, or None; nothing is checked.

    ``what`` names the bundle in messages. Raises :class:`SignatureError` if it is malformed.
    """
    content: Any = strict_json.loads(bundle, what=what, limit=MAX_BYTES, error=SignatureError)
    material = content.get("verificationMaterial") if isinstance(content, dict) else None
    public = material.get("publicKey") if isinstance(material, dict) else None
    hint = public.get("hint") if isinstance(public, dict) else None
    return next(
        (
            key
            for key in keys
            if not key.is_ed25519 and hashlib.sha256(key.to_text().encode()).hexdigest() == hint
        ),
        None,
    )


def bundle_verifies(key: PublicKey, bundle: bytes, manifest: bytes) -> bool:
    """Tell whether ``key`` made ``bundle`` for the content ``manifest``.

    Raises :class:`SignatureError` if ``model-signing`` is not installed.
    """
    verifying = _library().verifying
    invalid = library(SignatureError, "Checking signatures").invalid
    with tempfile.TemporaryDirectory(prefix="dc-hub-") as folder:
        files = {
            "key.pub": key.to_text().encode("ascii"),
            MANIFEST: manifest,
            BUNDLE: bundle,
        }
        for name, data in files.items():
            Path(folder, name).write_bytes(data)
        try:
            verifying.Config().use_elliptic_key_verifier(public_key=Path(folder, "key.pub")).verify(
                Path(folder, MANIFEST), Path(folder, BUNDLE)
            )
        except (invalid, ValueError, TypeError, LookupError, AttributeError):
            return False
    return True


def _library() -> Any:
    try:
        import model_signing.signing
        import model_signing.verifying
    except ModuleNotFoundError as error:
        raise SignatureError("Sigstore bundles need model-signing.", hint=INSTALL) from error
    return model_signing
