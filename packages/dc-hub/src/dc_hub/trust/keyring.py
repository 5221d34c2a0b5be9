"""The user's keys by name: ``keys/NAME.pub`` and, of the user's own, ``keys/NAME.key``.

The folder is in the user's configuration. To know a key by a name does not mean that models signed
with it are required or preferred anywhere: that is what the trust policy says.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from dc_core import explained, sync_directory
from dc_hub.errors import AlreadyExists, FileMissing, HubError, KeyFileError, UnsafePath
from dc_hub.files.config import config_folder, read_secret, read_unshared
from dc_hub.files.paths import check_tag, reading
from dc_hub.files.storage import make_directory
from dc_hub.files.system import create_file
from dc_hub.files.urls import local_path
from dc_hub.trust.keys import MAX_BYTES, PublicKey, SigningKey, is_locked, load_private
from dc_hub.trust.sigstore import BundleSigner

PASSPHRASE: Final = "DEEPCHEM_PASSPHRASE"
"""The environment variable with the passphrase of encrypted keys."""

Signer = SigningKey | BundleSigner
"""A signer of manifests: its method ``sign`` returns a signature file by its name."""

Key = Signer | str | os.PathLike[str]
"""A key to sign with: itself, its name among the user's keys, or the path of its file."""


def keys_folder() -> Path:
    """Return the folder of the user's keys."""
    return config_folder() / "keys"


@explained
def new_key(name: str, *, passphrase: str | None = None) -> PublicKey:
    """Make a key pair for signing, and return the public key.

    The private key is written to ``keys/NAME.key`` in the user's configuration folder, which only
    the user can read, encrypted if there is a ``passphrase``; the public key to ``NAME.pub``, for
    others. Raises :class:`AlreadyExists` if there is a key of that name, and :class:`KeyFileError`
    for a name that cannot be, for an empty passphrase, and if ``cryptography`` is not installed.
    """
    public, private = _file(name, "pub"), _file(name, "key")
    if passphrase == "":
        raise KeyFileError(
            "An empty passphrase encrypts nothing.",
            path=str(private),
            hint="Give one, or leave passphrase= out to store the key as it is.",
        )
    for file in (public, private):
        if os.path.lexists(file):
            raise _exists(name, file)
    key = SigningKey.generate()
    with _writing(private):
        _make_folder(private.parent)
        _create(private, key.to_bytes(passphrase), 0o600)
        _create(public, key.public.to_text().encode("ascii"), 0o644)
    return key.public


@explained
def trust_key(file: str | os.PathLike[str], name: str) -> PublicKey:
    """Know the public key in ``file`` by ``name``, and return it.

    Trust policies refer to keys by these names. Raises :class:`AlreadyExists` if the name is that
    of another key, and :class:`KeyFileError` if the file contains no public key.
    """
    path, mine = local_path(file), _file(name, "pub")
    key = read_public(path)
    if os.path.lexists(mine):
        if read_public(mine) == key:
            return key
        raise _exists(name, mine)
    with _writing(mine):
        _make_folder(mine.parent)
        _create(mine, key.to_text().encode("ascii"), 0o644)
    return key


@explained
def list_keys() -> dict[str, PublicKey]:
    """Return the public keys that the user knows, by name.

    Raises :class:`KeyFileError` if one is malformed, or if others can write it.
    """
    folder = keys_folder()
    with reading(str(folder)):
        files = sorted(folder.glob("*.pub")) if folder.is_dir() else []
    return {check_key_name(file.stem): read_public(file, unshared=True) for file in files}


@explained
def remove_key(name: str, *, private: bool = False) -> None:
    """Forget the key ``name``; with ``private`` the user's own private key too, for ever.

    Raises :class:`KeyFileError` if there is a private key and ``private`` is False, and
    :class:`FileMissing` if there is no such key.
    """
    public, secret = _file(name, "pub"), _file(name, "key")
    there = [file for file in (public, secret) if os.path.lexists(file)]
    if not there:
        raise _missing(name)
    if secret in there and not private:
        raise KeyFileError(
            f"{name!r} is a key of your own, with which nobody can sign once it is removed.",
            path=str(secret),
            hint="Keep a copy of it elsewhere if you need one, and pass private=True.",
        )
    with _writing(public):
        for file in there:
            file.unlink()
        sync_directory(public.parent)


def has_private(name: str) -> bool:
    """Tell whether the key ``name`` is one of the user's own, to sign with."""
    return os.path.lexists(_file(name, "key"))


@explained
def load_key(key: Key, *, passphrase: str | None = None) -> Signer:
    """Return the key to sign with: ``key`` itself, or the one of that name or in that file.

    An Ed25519 key signs in ``MANIFEST.json.sig``. A key on a NIST curve signs a bundle of OpenSSF
    model-signing, ``MANIFEST.json.sigstore``. An encrypted key needs ``passphrase``, or the
    environment variable ``DEEPCHEM_PASSPHRASE``. Raises :class:`KeyFileError` if the file contains
    no such key, if others can read it, or for a wrong passphrase; and :class:`FileMissing`.
    """
    if isinstance(key, SigningKey | BundleSigner):
        return key
    path = _private_file(key)
    given = os.environ.get(PASSPHRASE) if passphrase is None else passphrase
    data = read_secret(path, MAX_BYTES, KeyFileError)
    private = load_private(data, given, what=str(path))
    return BundleSigner(path, given) if private is None else private


def is_encrypted(key: Key) -> bool:
    """Tell whether signing with ``key`` needs a passphrase. Raises what :func:`load_key` does."""
    if isinstance(key, SigningKey | BundleSigner):
        return False
    return is_locked(read_secret(_private_file(key), MAX_BYTES, KeyFileError))


def _private_file(key: str | os.PathLike[str]) -> Path:
    """Return the file of a private key, which is given by its path or its name."""
    given: object = key
    if not isinstance(given, str | os.PathLike) or not os.fspath(given):
        raise KeyFileError(
            f"{key!r} is not a key to sign with.",
            path=repr(key),
            hint="Give the name of a key (`dc-hub key list`), or the path of its file.",
        )
    if not isinstance(key, str) or "/" in key or os.sep in key or key.endswith((".key", ".pem")):
        return local_path(key)
    path = _file(key, "key")
    if os.path.lexists(path):
        return path
    if os.path.lexists(_file(key, "pub")):
        raise FileMissing(
            f"Of the key {key!r} only the public part is here, which checks signatures.",
            path=str(path),
            hint="Sign with a key of your own (`dc-hub key list`), or give the file of a private "
            "key.",
        )
    raise _missing(key)


def read_public(path: Path, *, unshared: bool = False) -> PublicKey:
    """Return the public key in a file; if it must be ``unshared``, others must not write it."""
    if unshared:
        data = read_unshared(path, MAX_BYTES, KeyFileError)
    else:
        with reading(str(path)), path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)[:MAX_BYTES]
    return PublicKey.from_text(data.decode("ascii", "replace"), what=str(path))


def check_key_name(name: str) -> str:
    """Return ``name`` if it can name a key: as a tag, unlike a key id. Raises KeyFileError."""
    try:
        return check_tag(name)
    except UnsafePath as error:
        raise KeyFileError(
            f"{name!r} cannot be the name of a key.",
            path=str(name),
            hint="Use lower-case letters, digits, '.', '_' and '-', such as 'alice'.",
        ) from error


def _file(name: str, ending: str) -> Path:
    return keys_folder() / f"{check_key_name(name)}.{ending}"


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        make_directory(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _create(file: Path, data: bytes, mode: int) -> None:
    """Write a new file of that mode, whole or not at all; nothing may be there."""
    descriptor = create_file(file.parent, file.name, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        sync_directory(file.parent)
    except BaseException:
        file.unlink(missing_ok=True)
        raise


@contextmanager
def _writing(file: Path) -> Iterator[None]:
    """Convert an ``OSError`` to :class:`KeyFileError`."""
    try:
        yield
    except OSError as error:
        raise KeyFileError(
            f"{file} cannot be written: {error.strerror}.",
            path=str(file),
            hint="Check the folder and the disk, or name another folder: DEEPCHEM_CONFIG.",
        ) from error


def _exists(name: str, file: Path) -> HubError:
    return AlreadyExists(
        f"There is a key {name!r} already: {file}.",
        path=str(file),
        hint="Choose another name, or remove that key: dc-hub key remove NAME.",
    )


def _missing(name: str) -> HubError:
    return FileMissing(
        f"There is no key {name!r}.",
        path=str(keys_folder()),
        hint=f"`dc-hub key list` lists them; `dc-hub key new {name}` makes one.",
    )
