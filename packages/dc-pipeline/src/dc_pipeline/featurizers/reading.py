"""Read the inputs of graphs and geometries, which may be molecules besides SMILES."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from rdkit import Chem

from dc_core import Failure, Ragged
from dc_pipeline.featurizers.base import batches, sequence_of
from dc_pipeline.featurizers.molecules import Level, Molecules, parse_smiles, too_large
from dc_pipeline.featurizers.sealing import is_sealed, opened


class Chunk(NamedTuple):
    """Some inputs: their first row, molecules, the inputs' names, and failures.

    A molecule is RDKit's, None where it failed, or the binary form that RDKit wrote as bytes.
    """

    first_row: int
    molecules: list[Any]
    inputs: Sequence[Any]
    failures: list[Failure]


def chunks(inputs: Any, size: int, max_atoms: int, *, binaries: bool = False) -> Iterator[Chunk]:
    """Yield ``inputs`` by ``size``: SMILES, RDKit molecules, a batch, or a column of binaries.

    Failures are numbered from the first of all rows. There is at least one chunk. With
    ``binaries``, those of a column are not made molecules, nor are their atoms counted.

    Raises :class:`DatasetError` if the inputs have no order or length, or are a batch of molecules
    that were parsed without stereochemistry.
    """
    source = sequence_of(inputs)
    if not len(source):
        yield Chunk(0, [], [], [])
    elif binaries and is_sealed(source) and _has_stereo(source):
        for start in range(0, len(source), size):
            yield _opened(start, source[start : start + size])
    elif isinstance(source, Molecules) or is_sealed(source):
        for start, batch in batches(source, size, Level.STEREO, max_atoms):
            yield _chunk(start, batch.molecules, batch)
    else:
        for start in range(0, len(source), size):
            part = source[start : start + size]
            given = {i: x for i, x in enumerate(part) if isinstance(x, Chem.Mol)}
            texts = [None if i in given else x for i, x in enumerate(part)] if given else part
            parsed = parse_smiles(texts, max_atoms=max_atoms)
            failures = [f for f in parsed.failures if f.row not in given]
            molecules = [given.get(i, molecule) for i, molecule in enumerate(parsed.molecules)]
            for i, molecule in given.items():
                if molecule.GetNumAtoms() > max_atoms:
                    molecules[i] = None
                    reason = too_large(molecule.GetNumAtoms(), max_atoms)
                    failures.append(Failure(i, shown(molecule), "size", reason))
            yield _chunk(start, molecules, replace(parsed, inputs=part, failures=failures))


def _has_stereo(column: Ragged) -> bool:
    """Tell whether all binaries say that they were parsed with stereochemistry."""
    firsts = column.values[column.offsets[:-1][column.lengths > 0]]
    return bool((firsts == Level.STEREO).all())


def _opened(start: int, column: Ragged) -> Chunk:
    """Return the binaries of a column as RDKit wrote them, None where a seal is not valid."""
    molecules: list[Any] = []
    failures: list[Failure] = []
    names = [f"a binary of {length} bytes" for length in column.lengths]
    for i, values in enumerate(column):
        try:
            molecules.append(opened(values.tobytes())[0])
        except ValueError as error:
            molecules.append(None)
            failures.append(Failure(start + i, names[i], "parse", str(error)))
    return Chunk(start, molecules, names, failures)


def _chunk(start: int, molecules: Sequence[Any], batch: Molecules) -> Chunk:
    failures = [replace(failure, row=start + failure.row) for failure in batch.failures]
    return Chunk(start, list(molecules), batch.inputs, failures)


def shown(given: Any) -> str:
    """Return how failures show an input."""
    if isinstance(given, Chem.Mol):
        return f"a molecule of {given.GetNumAtoms()} atoms"
    return str(given)
