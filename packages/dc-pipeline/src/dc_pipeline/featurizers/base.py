"""The base of featurizers of molecules: inputs, batches, failures, a row per input."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final, final

import numpy as np

from dc_core import Columns, Failure, FailureReport, Features, Featurizer, charge
from dc_pipeline.featurizers.gathering import Gathered, row_bytes, row_shape
from dc_pipeline.featurizers.molecules import MAX_ATOMS, Level, Molecules, parse_smiles
from dc_pipeline.featurizers.sealing import is_sealed, unseal
from dc_pipeline.inputs import as_sequence

_ROOM: Final = 64 << 20
"""Bytes of features that a batch may take besides all that are returned."""


class MoleculeFeaturizer(Featurizer[Any]):
    """A featurizer of molecules: a subclass computes the rows of parsed molecules.

    Inputs are SMILES, a batch of :class:`Molecules`, or a ragged column of what
    :class:`MoleculeBinary` stored, each as a sequence or as the X of a dataset.

    Each row depends on its molecule alone. Failures have the status ``parse``, ``sanitize`` or
    ``size`` of :func:`parse_smiles`, or ``feature`` if this featurizer has no row for the molecule.
    """

    requires: ClassVar[tuple[str, ...]] = ("rdkit",)
    max_atoms: int = MAX_ATOMS
    batch_size: int = 1024
    """Molecules held at a time, so that their memory does not grow with the number of inputs."""

    @property
    def level(self) -> Level:
        """The lowest level of parsing that suffices."""
        return Level.STEREO

    @property
    def shape(self) -> Any:
        """The shape of one row, or a dict of those of all columns by name.

        That of a ragged column begins with None.
        """
        return row_shape(self.rows([]))

    @abstractmethod
    def rows(self, molecules: Sequence[Any]) -> Columns:
        """Return one row for each RDKit ``Mol``, none of which is None; there may be no molecules.

        If it raises :class:`ValueError` or :class:`RuntimeError`, it is called for each molecule
        alone, and those that raise fail with the status ``feature`` and the error's message.
        """

    @final
    def featurize(self, inputs: Sequence[Any] | Molecules, *, strict: bool = False) -> Features:
        """Return one row per input, zero or empty where there is none.

        SMILES may be a list, an array, a Series, a one-column DataFrame or a dataset (its X).

        Raises :class:`FeaturizationError` with the failures if ``strict``, and
        :class:`DatasetError` if the inputs have no order or length, or are molecules that were
        parsed at a lower level than this featurizer needs.
        """
        source = sequence_of(inputs)
        n = len(source)
        empty = self.rows([])
        width = row_bytes(empty)
        charge(n * width, f"{type(self).__name__} of {n} inputs")
        size = max(1, min(self.batch_size, _ROOM // max(1, width)))
        gathered = Gathered(n, empty)
        failures: list[Failure] = []
        for start, batch in batches(source, size, self.level, self.max_atoms):
            found = list(batch.failures)
            good = [row for row, molecule in enumerate(batch.molecules) if molecule is not None]
            self._add(gathered, start, batch, good, found)
            found.sort(key=lambda failure: failure.row)
            failures += (replace(failure, row=start + failure.row) for failure in found)
        report = FailureReport(tuple(failures))
        if strict:
            report.raise_if_any()
        return Features(gathered.columns(), gathered.ok, report)

    def _add(
        self,
        gathered: Gathered,
        start: int,
        batch: Molecules,
        good: list[int],
        failures: list[Failure],
    ) -> None:
        """Add the rows of the ``good`` molecules of ``batch``, and failures of those without."""
        try:
            rows = self.rows([batch.molecules[row] for row in good])
        except (ValueError, RuntimeError) as error:
            if len(good) == 1:
                message = " ".join(str(error).split()) or type(error).__name__
                failures.append(Failure(good[0], str(batch.inputs[good[0]]), "feature", message))
                return
            for row in good:
                self._add(gathered, start, batch, [row], failures)
            return
        gathered.add(start + np.array(good, np.intp), rows)


def sequence_of(inputs: Any) -> Any:
    """Return ``inputs`` as molecules, or as a sequence of SMILES or of stored molecules."""
    return inputs if isinstance(inputs, Molecules) else as_sequence(inputs)


def batches(
    source: Any, size: int, level: Level, max_atoms: int
) -> Iterator[tuple[int, Molecules]]:
    """Yield the number of the first row, and ``size`` molecules parsed at ``level`` at least.

    ``source`` comes from :func:`sequence_of`.

    Raises :class:`DatasetError` if stored molecules were parsed at a lower level.
    """
    for start in range(0, len(source), size):
        chunk = source[start : start + size]
        if isinstance(chunk, Molecules):
            yield start, chunk.limited(level, max_atoms)
        elif is_sealed(chunk):
            yield start, unseal(chunk, level).limited(level, max_atoms)
        else:
            yield start, parse_smiles(chunk, level=level, max_atoms=max_atoms)
