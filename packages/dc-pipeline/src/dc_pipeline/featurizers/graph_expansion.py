"""``GraphExpansion``: from codes to the atom and bond features of published schemes, by batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, Self

import numpy as np

from dc_core import Batch, Dataset, MappedDataset, Ragged, Transformer, check_dataset
from dc_core.errors import DatasetError, ParameterError
from dc_pipeline.featurizers.graph_codes import ATOM_FIELDS, BOND_FIELDS
from dc_pipeline.featurizers.graph_schemes import SCHEMES, Scheme, scheme

_CODES: Final = {"atoms": np.dtype(np.uint64), "bonds": np.dtype(np.uint32)}


class GraphExpansion(Transformer):
    """Expands the codes of :class:`MolecularGraph` to features when a batch is read.

    What is stored and shuffled stays small. The columns of an expanded dataset are ragged, one row
    per molecule, and each depends on its molecule alone:

    - ``atoms``: the features of atoms, ``(atoms, columns)``.
    - ``bonds``: the features of directed bonds, ``(2 * bonds, columns)``; each bond is followed by
      its reverse.
    - ``edges``: the atoms that each leads from and to, ``(2 * bonds, 2)`` of int32, which count
      from 0 in each molecule. In a batch, add the molecule's offset in ``atoms``.
    - ``reverse``: the place of each one's reverse, ``(2 * bonds,)`` of int32, from 0 likewise.

    Other columns are kept, except ``order``. The schemes equal, number for number:

    - ``"deepchem"``: DeepChem's ``MolGraphConvFeaturizer(use_edges=True)``, 30 and 11 float32
      (after Kearnes and others 2016, doi:10.1007/s10822-016-9938-8). The graphs need
      ``MolecularGraph(hydrogen_bonding=True)``.
    - ``"chemprop"``: chemprop 2's ``MultiHotAtomFeaturizer.v2()`` and ``MultiHotBondFeaturizer()``,
      72 and 14 float32 (Heid and others 2024, doi:10.1021/acs.jcim.3c01250).
    - ``"ogb"``: ``ogb.utils.features``, 9 and 3 indices for embeddings as uint8 (Hu and others
      2020, arXiv:2005.00687). Axial chirality of a bond, which has no index there, counts as
      ``STEREOANY``.

    Nothing is fitted. Raises :class:`ParameterError` for another scheme.
    """

    requires = ("rdkit",)

    def __init__(self, scheme: Literal["deepchem", "chemprop", "ogb"]) -> None:
        if scheme not in SCHEMES:
            raise ParameterError(
                f"There is no scheme {scheme!r}.", hint=f"Give one of {', '.join(SCHEMES)}."
            )
        self.scheme = scheme

    def fit(self, dataset: Dataset) -> Self:
        """Return itself: there is nothing to learn."""
        check_dataset(dataset)
        return self

    def transform(self, dataset: Dataset) -> Dataset:
        """Return the dataset whose batches are expanded when they are read.

        Raises :class:`DatasetError`, here or when a batch is read, if X lacks the columns of
        :class:`MolecularGraph` or the codes lack what the scheme needs.
        """
        check_dataset(dataset)
        if not _CODES.keys() <= set(dataset.columns):
            found = ", ".join(dataset.columns) or "one column without a name"
            raise DatasetError(
                f"GraphExpansion needs the columns atoms and bonds; X has {found}.",
                hint="Featurize it by MolecularGraph.",
            )
        return MappedDataset(dataset, _Expanded(self.scheme))


class _Expanded:
    """The mapping of a batch; a class, so that it can be pickled."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, batch: Batch) -> Batch:
        X: Any = batch.X
        return batch if X is None else batch._replace(X=expand(X, scheme(self.name)))


def expand(X: Mapping[str, Any], features: Scheme) -> dict[str, Any]:
    """Return the columns of X with those of codes replaced by ``features`` and edges.

    Raises :class:`DatasetError` if they are not codes, or lack what the scheme needs.
    """
    for name, dtype in _CODES.items():
        if not isinstance(X[name], Ragged) or X[name].dtype != dtype:
            raise DatasetError(
                f"The column {name} must be ragged and of {dtype}.",
                hint="Featurize by MolecularGraph.",
            )
    atoms, bonds = X["atoms"], X["bonds"]
    if features.atom_needs and not ATOM_FIELDS[features.atom_needs].of(atoms.values).all():
        raise DatasetError(
            "The graphs do not say which atoms are donors or acceptors, which this scheme needs.",
            hint=f"Featurize by MolecularGraph({features.atom_needs}=True).",
        )
    offsets = 2 * bonds.offsets
    begin, end = (BOND_FIELDS[name].of(bonds.values) for name in ("begin", "end"))
    edges = np.stack([begin, end, end, begin], axis=1).reshape(-1, 2).astype(np.int32)
    # Rows begin at even places, so that an edge and its reverse differ in the last bit.
    own = np.arange(offsets[-1]) - np.repeat(offsets[:-1], np.diff(offsets))
    return {
        **{name: column for name, column in X.items() if name != "order"},
        "atoms": Ragged(features.atoms(atoms.values), atoms.offsets),
        "bonds": Ragged(features.bonds(_kinds(bonds.values), repeats=2), offsets),
        "edges": Ragged(edges, offsets),
        "reverse": Ragged((own ^ 1).astype(np.int32), offsets),
    }


_ENDS: Final = np.uint32((1 << BOND_FIELDS["type"].shift) - 1)


def _kinds(bonds: np.ndarray) -> np.ndarray:
    """Return the codes without the atoms that they join, so that few are different."""
    return bonds & ~_ENDS
