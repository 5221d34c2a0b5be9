"""Load structures of macromolecules: PDB and mmCIF files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

import numpy as np

from dc_core import Columns, Ragged, concatenate_rows
from dc_core.errors import LoaderError
from dc_pipeline.loaders.files import FilesLoader, Row, Unusable
from dc_pipeline.loaders.sources import Source

_FORMS: Final[Mapping[str, tuple[Any, tuple[int, ...]]]] = {
    "coordinates": (np.float32, (3,)),
    "elements": (np.uint8, ()),
    "atom_names": (np.uint8, (8,)),
    "residue_names": (np.uint8, (8,)),
    "residue_numbers": (np.int32, ()),
    "insertion_codes": (np.uint8, ()),
    "chains": (np.uint8, (8,)),
    "hetero": (np.bool_, ()),
}
_HETERO: Final = ord("H")


class StructureLoader(FilesLoader):
    """Reads PDB and mmCIF files by gemmi: one of them, or a list. A row is a model of a file.

    X has ragged columns with a value for each atom: ``coordinates``, ``(atoms, 3)`` of float32 in
    Å; ``elements``, the atomic numbers as uint8; ``residue_numbers``, int32; ``insertion_codes``,
    ASCII as uint8; ``hetero``, whether the atom is of a HETATM record; and ``atom_names``,
    ``residue_names`` and ``chains``, eight ASCII characters each, as uint8 filled up with zeros:
    ``dataset.X["chains"][0].view("S8")`` has them as bytes. Atoms are in the order of the file,
    except that those of a chain and of a residue are put together where a file interleaves them.
    Of alternative conformations the first is taken.

    The ids are the names of the files without endings, with ``/`` and the model's number if there
    are several. A file that is not of either format, or has no atoms, fails (status ``parse``).

    Reading needs gemmi: ``pip install "dc-pipeline[structures]"``.

    Raises :class:`LoaderError` if a single file cannot be read.
    """

    requires = ("gemmi",)

    def _rows(self, file: Source, data: bytes) -> Sequence[Row]:
        try:
            import gemmi
        except ImportError as error:
            raise LoaderError(
                f"{file} is a structure, and gemmi is not installed.",
                hint='pip install "dc-pipeline[structures]"',
            ) from error
        try:
            text = data.decode("utf-8", "strict")
            structure = _structure(gemmi, text)
            structure.remove_alternative_conformations()
            atoms = gemmi.FlatStructure(structure)
        except (ValueError, RuntimeError, IndexError) as error:
            reason = " ".join(str(error).split())[:300]
            raise Unusable("parse", f"{file} is not a PDB or mmCIF file: {reason}") from error
        models = np.asarray(atoms.model_num)
        if not len(models):
            raise Unusable("parse", f"{file} has no atoms")
        columns = {
            "coordinates": atoms.pos,
            "elements": atoms.elements,
            "atom_names": atoms.atom_names,
            "residue_names": atoms.residue_names,
            "residue_numbers": atoms.resnums,
            "insertion_codes": atoms.icodes,
            "chains": atoms.chain_ids,
            "hetero": np.asarray(atoms.het_flags) == _HETERO,
        }
        name = PurePosixPath(file.name.replace("\\", "/")).name.partition(".")[0]
        starts = np.flatnonzero(np.diff(models, prepend=models[0] - 1))
        ends = [*starts[1:].tolist(), len(models)]
        return [
            Row(
                f"{name}/{models[start]}" if len(ends) > 1 else name,
                {
                    key: np.array(column[start:end]).astype(_FORMS[key][0])
                    for key, column in columns.items()
                },
            )
            for start, end in zip(starts.tolist(), ends, strict=True)
        ]

    def _X(self, values: Sequence[Any]) -> Columns:
        offsets = np.cumsum([0, *(len(row["elements"]) for row in values)], dtype=np.int64)
        return {
            key: Ragged(
                concatenate_rows([np.zeros((0, *shape), dtype), *(row[key] for row in values)]),
                offsets,
            )
            for key, (dtype, shape) in _FORMS.items()
        }


def _structure(gemmi: Any, text: str) -> Any:
    """Return the structure in the ``text`` of a PDB or mmCIF file."""
    lines = (line.strip() for line in text.splitlines())
    first = next((line for line in lines if line and not line.startswith("#")), "")
    if first.lower().startswith("data_"):
        return gemmi.make_structure_from_block(gemmi.cif.read_string(text)[0])
    return gemmi.read_pdb_string(text)
