"""Parse SMILES: one molecule per input, or the step that failed and the reason.

RDKit writes why a SMILES does not parse only to its log, which is one for the whole process. The
log is silenced while inputs are parsed. Those that failed are parsed again to get the reason: from
the log if this RDKit can capture it (those before 2025.9 cannot), and from the exception if the
molecule is not a possible one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import IntEnum
from threading import Lock
from typing import Any, Final

from rdkit import Chem, rdBase

from dc_core import Failure
from dc_core.errors import DatasetError

_PARSE_ERROR = re.compile(
    r"SMILES Parse Error: (?!Failed parsing)(?:check for mistakes around )?(.+?)"
    r"(?: for input)?(?::.*)?$",
    re.MULTILINE,
)
_EXPLICIT_HYDROGEN = re.compile(r"\[\d*H")
_ATOM = re.compile(r"\[[^\]]*\]|Br|Cl|[BCNOPSFIbcnops*]")
MAX_ATOMS: Final = 1000
"""The default limit of atoms: RDKit takes minutes for chains of 20 000."""

HAS_REASONS: Final = hasattr(rdBase, "CaptureErrorLog")
"""Whether this RDKit lets its log be captured, which has the reason why a SMILES does not parse."""

_NO_REASON: Final = "this is not a valid SMILES"
_log = Lock()
"""Held while RDKit's log is silenced or captured."""


def _unsanitized() -> Any:
    params: Any = Chem.SmilesParserParams()
    params.sanitize = False
    params.removeHs = False
    return params


_UNSANITIZED: Final = _unsanitized()


class Level(IntEnum):
    """How much of a molecule is perceived when it is parsed; each level includes those before.

    A featurizer declares the lowest level that suffices, and molecules are parsed once at the
    highest level that any featurizer of a run declares.
    """

    CONNECTIVITY = 0
    """Atoms, bonds, rings and aromaticity, with all valences checked."""

    STEREO = 1
    """Stereocentres and the geometry of double bonds as well: a third of the time more."""


@dataclass(frozen=True, slots=True, eq=False)
class Molecules:
    """A batch of parsed molecules, which molecular featurizers take in the place of SMILES.

    ``molecules`` has one RDKit ``Mol`` per input, None where it failed, and ``failures`` say why.
    ``inputs`` are what they were parsed from, or their names: failures of featurizers show them.
    ``level`` is that at which all were parsed.

    ``batch[2:5]`` is the batch of these rows.

    Raises :class:`DatasetError` unless there is one input per molecule.
    """

    molecules: Sequence[Any]
    inputs: Sequence[Any]
    failures: Sequence[Failure] = ()
    level: Level = Level.STEREO

    def __post_init__(self) -> None:
        if len(self.molecules) != len(self.inputs):
            raise DatasetError(
                f"There are {len(self.molecules)} molecules and {len(self.inputs)} inputs."
            )

    def __len__(self) -> int:
        """Return the number of inputs."""
        return len(self.molecules)

    def __getitem__(self, rows: slice) -> Molecules:
        """Return the batch of the ``rows``, a slice without a step."""
        start, stop, _ = rows.indices(len(self))
        failures = [
            replace(failure, row=failure.row - start)
            for failure in self.failures
            if start <= failure.row < stop
        ]
        return replace(
            self,
            molecules=self.molecules[start:stop],
            inputs=self.inputs[start:stop],
            failures=failures,
        )

    def limited(self, level: Level, max_atoms: int) -> Molecules:
        """Return the batch with failures for molecules of more than ``max_atoms`` atoms.

        Raises :class:`DatasetError` if the molecules were parsed at a lower level than ``level``.
        """
        if self.level < level:
            raise DatasetError(
                f"The molecules were parsed at the level {self.level.name}; this featurizer needs "
                f"{level.name}.",
                hint=f"Parse them with level=Level.{level.name}.",
            )
        large = [
            Failure(row, str(self.inputs[row]), "size", too_large(atoms, max_atoms))
            for row, molecule in enumerate(self.molecules)
            if molecule is not None and (atoms := molecule.GetNumAtoms()) > max_atoms
        ]
        if not large:
            return self
        molecules = list(self.molecules)
        for failure in large:
            molecules[failure.row] = None
        failures = sorted((*self.failures, *large), key=lambda failure: failure.row)
        return replace(self, molecules=molecules, failures=failures)


def parse_smiles(
    inputs: Sequence[Any],
    *,
    level: Level = Level.STEREO,
    max_atoms: int = MAX_ATOMS,
) -> Molecules:
    """Return one molecule per SMILES, or None and a :class:`Failure`.

    The status is ``parse`` for anything that is not a SMILES (also None, an empty string, any other
    object) and ``sanitize`` for a molecule that cannot exist (valences, aromaticity). It is
    ``size``, and the SMILES is not parsed, if it has more than ``max_atoms`` atoms.

    A ``level`` below ``STEREO`` skips the perception of stereochemistry, a third of the time.
    RDKit's log settings are the same afterwards.
    """
    read = _with_stereo if level >= Level.STEREO else _without_stereo
    molecules, failures = [], []
    with silenced():
        for row, smiles in enumerate(inputs):
            status, reason = _refused(smiles, max_atoms)
            molecule = None if status else read(_ascii(smiles))
            molecules.append(molecule)
            if molecule is None:
                if not status:
                    status, reason = _diagnose(_ascii(smiles))
                failures.append(Failure(row, str(smiles), status, reason))
    return Molecules(molecules, inputs, failures, level)


def too_large(atoms: int, max_atoms: int) -> str:
    """Return the message for a molecule of more than ``max_atoms`` atoms."""
    return f"the molecule has {atoms} atoms; the limit is max_atoms={max_atoms}"


@contextmanager
def silenced() -> Iterator[None]:
    """Silence RDKit's log, in all threads, within the block."""
    with _log, rdBase.BlockLogs():
        yield


def _refused(smiles: Any, max_atoms: int) -> tuple[str, str]:
    """Return the status and reason of an input that RDKit does not get, else empty strings."""
    wrong = _not_smiles(smiles)
    if wrong:
        return "parse", wrong
    # A SMILES of n atoms has at least n characters, so that most need no counting.
    if len(smiles) > max_atoms:
        atoms = sum(1 for _ in _ATOM.finditer(smiles.split(maxsplit=1)[0]))
        if atoms > max_atoms:
            return "size", too_large(atoms, max_atoms)
    return "", ""


def _not_smiles(smiles: Any) -> str:
    """Return why an input cannot be a SMILES, or an empty string."""
    if not isinstance(smiles, str):
        nan = isinstance(smiles, float) and math.isnan(smiles)  # as pandas marks it
        missing = smiles is None or nan
        return (
            "the input is missing"
            if missing
            else f"an object of type {type(smiles).__name__} is not a SMILES"
        )
    if not smiles or smiles.isspace():
        return "the input is empty"
    if any(character in smiles for character in "\0\r\n"):
        # RDKit would stop at this character and ignore the rest.
        return "the input contains a newline or a NUL character"
    return ""


def _ascii(smiles: str) -> str:
    """Return ``smiles`` with ``?`` for non-ASCII characters, which RDKit's log cannot hold."""
    return smiles if smiles.isascii() else smiles.encode("ascii", "replace").decode("ascii")


def _with_stereo(smiles: str) -> Any:
    return Chem.MolFromSmiles(smiles)


def _without_stereo(smiles: str) -> Any:
    # RDKit has rules of its own for which hydrogens that are written as atoms it removes.
    if _EXPLICIT_HYDROGEN.search(smiles):
        return Chem.MolFromSmiles(smiles)
    molecule: Any = Chem.MolFromSmiles(smiles, _UNSANITIZED)
    if molecule is None:
        return None
    try:
        Chem.SanitizeMol(molecule)
    except Chem.MolSanitizeException:
        return None
    return molecule


def _diagnose(smiles: str) -> tuple[str, str]:
    """Return the status and the reason of an input that RDKit refused."""
    molecule: Any = Chem.MolFromSmiles(smiles, _UNSANITIZED)
    if molecule is None:
        return "parse", _parse_error(smiles)
    try:
        Chem.SanitizeMol(molecule)
    except Chem.MolSanitizeException as error:
        return "sanitize", " ".join(str(error).partition("\n")[0].split())
    return "sanitize", "the molecule is not valid"


def _parse_error(smiles: str) -> str:
    if not HAS_REASONS:
        return _NO_REASON
    with rdBase.CaptureErrorLog() as log:
        Chem.MolFromSmiles(smiles)
        messages = log.messages
    return " at ".join(dict.fromkeys(_PARSE_ERROR.findall(messages))) or _NO_REASON
