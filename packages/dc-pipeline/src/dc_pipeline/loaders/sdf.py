"""Load SD files: molecules with their properties, in 2D or 3D."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from rdkit import Chem, rdBase

from dc_core import Column, Failure, Featurizer, Ragged, check_count, check_flag
from dc_core.errors import LoaderError, ParameterError
from dc_pipeline.featurizers.molecules import HAS_REASONS, MAX_ATOMS
from dc_pipeline.loaders.block import Block
from dc_pipeline.loaders.sources import Source
from dc_pipeline.loaders.table import TableLoader

_END: Final = re.compile(rb"^\$\$\$\$[^\n]*\n", re.MULTILINE)
_BLOCK: Final = 256
_MAX_RECORD: Final = 1 << 25
_COUNTS: Final = re.compile(
    rb"^(?: *(\d{1,3})[ \d]{0,3}.*V2000|M  V30 COUNTS +(\d+))", re.MULTILINE
)
_TITLE: Final = "_Name"
_LOG_PREFIX: Final = re.compile(r"^\[[\d:]+\]\s*", re.MULTILINE)


class SDFLoader(TableLoader):
    """Reads an SD file, also one of a single molecule (``.mol``), as RDKit does.

    ``inputs`` is ``"smiles"``, the canonical SMILES, or ``"block"``, the mol block as it is in the
    file; X is that, or with a ``featurizer`` its features. ``tasks``, ``id`` and ``weights`` name
    properties, as :class:`CSVLoader` names columns; the default ids are the titles, or the SMILES
    if there is none.

    With ``coordinates`` X has further columns, ragged, of the atoms in the order of the file, its
    hydrogens included: ``coordinates``, ``(atoms, 3)`` of float32 in Å, which in 2D are 0 along z,
    and ``elements``, the atomic numbers as uint8.

    A record that RDKit cannot read fails (status ``parse``, or ``sanitize`` if the molecule is not
    a possible one), and so does one without atoms. One of more than ``max_atoms`` atoms fails with
    the status ``size``. The messages count records from 1.

    Raises :class:`LoaderError` if the file is empty, if a record has more than 33 million bytes,
    and at its end if a property is in no record.
    """

    requires = ("rdkit",)

    def __init__(
        self,
        tasks: str | Sequence[str] = (),
        id: str | None = None,
        weights: str | Sequence[str] | None = None,
        featurizer: Featurizer[Any] | None = None,
        inputs: str = "smiles",
        coordinates: bool = False,
        classes: str | Sequence[str] | Mapping[str, Sequence[str]] = (),
        max_atoms: int = MAX_ATOMS,
        encoding: str = "utf-8",
    ) -> None:
        if inputs not in ("smiles", "block"):
            raise ParameterError(f"inputs={inputs!r} must be 'smiles' or 'block'.")
        super().__init__(inputs, tasks, _TITLE if id is None else id, weights, featurizer, classes)
        self.coordinates = check_flag("coordinates", coordinates)
        self.max_atoms = check_count("max_atoms", max_atoms, minimum=1)
        self.encoding = encoding

    def _no_columns(self) -> dict[str, Column]:
        if not self.coordinates:
            return {}
        none = [0]
        return {
            "coordinates": Ragged(np.zeros((0, 3), np.float32), none),
            "elements": Ragged(np.zeros(0, np.uint8), none),
        }

    def _blocks(self, source: Any, start: int) -> Iterator[Block]:
        file = Source(source)
        first = stop = 0
        records: list[bytes] = []
        found: set[str] = set()
        for stop, record in enumerate(_records(file), 1):
            if stop <= start:
                first = stop
                continue
            records.append(record)
            if len(records) == _BLOCK:
                yield self._block(first, records, found)
                first, records = stop, []
        if stop == 0:
            raise LoaderError(f"{file} is empty.", hint="It has no molecule.")
        yield self._block(first, records, found)
        if found and start == 0:
            self._fields().check(file, found)

    def _block(self, first: int, records: Sequence[bytes], found: set[str]) -> Block:
        """Return the block of ``records``, and add the names of their properties to ``found``."""
        read: list[Mapping[str, Any] | Failure] = []
        molecules: dict[int, Any] = {}
        fields = self._fields()
        with rdBase.BlockLogs():
            for row, record in enumerate(records, first):
                molecule = self._molecule(row, record)
                if isinstance(molecule, Failure):
                    read.append(molecule)
                    continue
                molecules[row] = molecule
                properties = set(molecule.GetPropNames())
                found |= {self.inputs, _TITLE, *properties}
                smiles = Chem.MolToSmiles(Chem.RemoveHs(molecule))
                title = molecule.GetProp(_TITLE).strip() if molecule.HasProp(_TITLE) else ""
                read.append(
                    {
                        **{name: molecule.GetProp(name) for name in properties},
                        _TITLE: title or smiles,
                        self.inputs: smiles if self.inputs == "smiles" else _mol_block(record),
                    }
                )
        block = fields.block(first, read)
        if not self.coordinates:
            return block
        used = [molecules[row] for row in block.records.tolist()]
        lengths = [molecule.GetNumAtoms() for molecule in used]
        offsets = np.cumsum([0, *lengths], dtype=np.int64)
        places = [np.zeros((0, 3)), *(molecule.GetConformer().GetPositions() for molecule in used)]
        elements = [atom.GetAtomicNum() for molecule in used for atom in molecule.GetAtoms()]
        columns = {
            "coordinates": Ragged(np.concatenate(places).astype(np.float32), offsets),
            "elements": Ragged(np.array(elements, np.uint8), offsets),
        }
        return replace(block, columns=columns)

    def _molecule(self, row: int, record: bytes) -> Any:
        """Return the molecule of a record, or the failure."""
        title = record.partition(b"\n")[0].decode("latin-1").strip()

        def failed(status: str, reason: str) -> Failure:
            return Failure(row, title, status, f"record {row + 1}: {reason}")

        if not record.isascii():
            try:
                record = record.decode(self.encoding).encode()
            except UnicodeDecodeError as error:
                return failed("parse", f"this is not text in {self.encoding}: {error.reason}")
        counts = _COUNTS.search(record)
        atoms = int(counts[1] or counts[2]) if counts else 0
        if atoms > self.max_atoms:
            return failed(
                "size", f"the molecule has {atoms} atoms; the limit is max_atoms={self.max_atoms}"
            )
        molecule = _read(record, sanitize=True, remove=not self.coordinates)
        if molecule is not None:
            if molecule.GetNumAtoms() > 0:
                return molecule
            return failed("parse", "the molecule has no atoms")
        reason = "this is not a mol block"
        if HAS_REASONS:
            with rdBase.CaptureErrorLog() as log:
                molecule = _read(record, sanitize=False, remove=False)
                reason = _reason(log.messages) or reason
        else:
            molecule = _read(record, sanitize=False, remove=False)
        if molecule is None:
            return failed("parse", reason)
        try:
            Chem.SanitizeMol(molecule)
        except Chem.MolSanitizeException as error:
            return failed("sanitize", " ".join(str(error).partition("\n")[0].split()))
        return failed("sanitize", "the molecule is not valid")


def _records(file: Source) -> Iterator[bytes]:
    """Yield the records of an SD file without the lines that end them."""
    rest = b""
    for piece in file.pieces():
        *whole, rest = _END.split((rest + piece).replace(b"\r\n", b"\n"))
        yield from whole
        if len(rest) > _MAX_RECORD:
            raise LoaderError(
                f"{file} has a record of more than {_MAX_RECORD} bytes.",
                hint="This is not an SD file, or its records do not end in $$$$.",
            )
    last = rest.rstrip()
    if last and last != b"$$$$":
        yield last.removesuffix(b"$$$$") + b"\n"


def _read(record: bytes, *, sanitize: bool, remove: bool) -> Any:
    stream = io.BytesIO(record + b"$$$$\n")
    supplier = Chem.ForwardSDMolSupplier(stream, sanitize=sanitize, removeHs=remove)
    return next(supplier, None)


def _reason(messages: str) -> str:
    """Return the first line of RDKit's log that says something."""
    lines = [line.strip() for line in _LOG_PREFIX.sub("", messages).splitlines()]
    return next((s for s in lines if s.strip("*") and not s.endswith("Violation")), "")


def _mol_block(record: bytes) -> str:
    block, end, _ = record.partition(b"\nM  END")
    return (block + end).decode("utf-8", "replace") + "\n"
