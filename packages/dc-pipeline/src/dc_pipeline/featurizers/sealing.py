"""Molecule binaries with a seal: RDKit reads only those that this user's own RDKit wrote.

RDKit's reader of binaries is native code that trusts what it reads: of binaries with one to three
bytes changed at random, 3 % crashed RDKit 2026.9 and some asked for gigabytes. Checking a binary
would take a second reader, so none from elsewhere is ever read. Each row carries a seal, a keyed
BLAKE2b digest (RFC 7693) of its bytes, made with a secret key of the user's own; a row whose seal
is not right is a failure, and RDKit does not see it.

The key is made when it is first needed, in ``~/.local/state/dc-pipeline/molecule.key`` or where the
environment variable ``DC_MOLECULE_KEY`` says. Machines that share binaries need the same key.
"""

from __future__ import annotations

import os
import secrets
import stat
from functools import lru_cache
from hashlib import blake2b
from hmac import compare_digest
from pathlib import Path
from typing import Any, Final

import numpy as np
from rdkit import Chem

from dc_core import Failure, Ragged
from dc_pipeline.errors import MoleculeKeyError
from dc_pipeline.featurizers.molecules import Level, Molecules, silenced

VARIABLE: Final = "DC_MOLECULE_KEY"
_KEY: Final = 32
_SEAL: Final = 16
_HEAD: Final = 1 + _SEAL
"""The level and the seal stand before RDKit's bytes."""

_CONTENT: Final = int(Chem.PropertyPickleOptions.CoordsAsDouble)
"""The properties that RDKit writes besides atoms and bonds: coordinates, to the last bit."""

_UNSEALED: Final = "the molecule binary has no valid seal of this user's key"


def seal(molecule: Any, level: Level) -> bytes:
    """Return an RDKit ``Mol`` that was parsed at ``level`` as bytes with a seal.

    Raises :class:`MoleculeKeyError` if the key cannot be read or made.
    """
    content: bytes = molecule.ToBinary(_CONTENT)
    return bytes([level]) + _digest(bytes([level]) + content) + content


def unseal(column: Ragged, level: Level) -> Molecules:
    """Return the molecules of a ragged column of uint8, one binary a row, at ``level``.

    Rows without a valid seal fail with the status ``parse``. The level is a lower one if molecules
    were stored at that.

    Raises :class:`MoleculeKeyError` if the key cannot be read or made.
    """
    molecules: list[Any] = []
    failures: list[Failure] = []
    names: list[str] = []
    lowest = level
    read: Any = Chem.Mol
    with silenced():
        for row, values in enumerate(column):
            sealed = values.tobytes()
            names.append(f"a binary of {len(sealed)} bytes")
            try:
                content, stored = opened(sealed)
                molecule = read(content)
            except (ValueError, RuntimeError) as error:
                failures.append(Failure(row, names[row], "parse", str(error)))
                molecule, stored = None, lowest
            if molecule is not None and min(level, stored) >= Level.STEREO:
                # What the parser notes on atoms is not in the binary: R, S and possible centres.
                Chem.AssignStereochemistry(molecule, flagPossibleStereoCenters=True)
            molecules.append(molecule)
            lowest = min(lowest, stored)
    return Molecules(molecules, names, failures, lowest)


def opened(sealed: bytes) -> tuple[bytes, Level]:
    """Return RDKit's binary, and the level at which the molecule was parsed.

    Raises :class:`ValueError` without a valid seal.
    """
    if not compare_digest(sealed[1:_HEAD], _digest(sealed[:1] + sealed[_HEAD:])):
        raise ValueError(_UNSEALED if sealed else "the molecule binary is empty")
    return sealed[_HEAD:], Level(sealed[0])


def is_sealed(inputs: Any) -> bool:
    """Whether ``inputs`` is a column that may hold molecule binaries."""
    return isinstance(inputs, Ragged) and inputs.values.dtype == np.uint8


def _digest(content: bytes) -> bytes:
    return blake2b(content, key=_key(_path()), digest_size=_SEAL, person=b"dc-molecule").digest()


def _path() -> Path:
    given = os.environ.get(VARIABLE)
    return Path(given) if given else Path.home() / ".local/state/dc-pipeline/molecule.key"


@lru_cache(maxsize=8)
def _key(path: Path) -> bytes:
    """Return the key in the file ``path``, which is made if there is none."""
    try:
        if not path.exists():
            _make(path)
        shared = os.name == "posix" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
        key = path.read_bytes()
    except OSError as error:
        raise MoleculeKeyError(
            f"The key of molecule binaries, {path}, cannot be read or made: {error}.",
            hint=f"Set {VARIABLE} to a file that only you can read and write.",
        ) from error
    if shared:
        raise MoleculeKeyError(
            f"The key of molecule binaries, {path}, can be read or written by other users.",
            hint=f"Restrict it (chmod 600 {path}), or delete it if it may have been read.",
        )
    if len(key) != _KEY:
        raise MoleculeKeyError(
            f"The key of molecule binaries, {path}, has {len(key)} bytes and not {_KEY}.",
            hint="Delete it: another one is made, and molecules are to be stored again.",
        )
    return key


def _make(path: Path) -> None:
    """Write a new key, complete from the moment it is there, unless another process was first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_KEY))
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink()
