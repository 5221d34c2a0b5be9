"""Parse SMILES: one molecule per input, or the step that failed and the reason.

RDKit writes why a SMILES does not parse only to its log, which is one for the whole process. The
log is silenced while inputs are parsed. Those that failed are parsed again to get the reason: from
the log if this RDKit can capture it (those before 2025.9 cannot), and from the exception if the
molecule is not a possible one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from threading import Lock
from typing import Any, Final, NamedTuple

from rdkit import Chem, rdBase

from dc_core import Failure

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


class Molecules(NamedTuple):
    """Parsed inputs: one RDKit ``Mol`` per input, None where it failed, and why it did."""

    molecules: list[Any]
    failures: list[Failure]


def parse_smiles(
    inputs: Sequence[Any], *, stereo: bool = True, first_row: int = 0, max_atoms: int = MAX_ATOMS
) -> Molecules:
    """Return one molecule per SMILES, or None and a :class:`Failure`.

    The status is ``parse`` for anything that is not a SMILES (also None, an empty string, any other
    object) and ``sanitize`` for a molecule that cannot exist (valences, aromaticity). It is
    ``size``, and the SMILES is not parsed, if it has more than ``max_atoms`` atoms. ``first_row``
    is the row number of ``inputs[0]`` in the failures.

    ``stereo=False`` skips the perception of stereochemistry, a quarter of the time. RDKit's log
    settings are the same afterwards.
    """
    read = _with_stereo if stereo else _without_stereo
    molecules, failures = [], []
    with _log, rdBase.BlockLogs():
        for row, smiles in enumerate(inputs, first_row):
            status, reason = _refused(smiles, max_atoms)
            molecule = None if status else read(_ascii(smiles))
            molecules.append(molecule)
            if molecule is None:
                if not status:
                    status, reason = _diagnose(_ascii(smiles))
                failures.append(Failure(row, str(smiles), status, reason))
    return Molecules(molecules, failures)


def _refused(smiles: Any, max_atoms: int) -> tuple[str, str]:
    """Return the status and reason of an input that RDKit does not get, else empty strings."""
    wrong = _not_smiles(smiles)
    if wrong:
        return "parse", wrong
    # A SMILES of n atoms has at least n characters, so that most need no counting.
    if len(smiles) > max_atoms:
        atoms = sum(1 for _ in _ATOM.finditer(smiles.split(maxsplit=1)[0]))
        if atoms > max_atoms:
            return "size", f"the molecule has {atoms} atoms; the limit is max_atoms={max_atoms}"
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
