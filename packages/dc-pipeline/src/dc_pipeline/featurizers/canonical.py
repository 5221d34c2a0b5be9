"""Put the atoms and bonds of graphs into canonical order.

The order of atoms is RDKit's canonical ranking, except in molecules whose stereocentres depend on
each other, such as 1,4-dimethylcyclohexane: there, two assignments of tags mean the same, and the
ranking does not choose between them. Canonical SMILES do. They give the order and the tags of those
molecules, which takes the time of parsing them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

import numpy as np
from rdkit import Chem

from dc_core import Ragged
from dc_pipeline.featurizers.molecule_graphs import Graphs, offsets_of

_CLOCKWISE: Final = int(Chem.ChiralType.CHI_TETRAHEDRAL_CW)
_COUNTERCLOCKWISE: Final = int(Chem.ChiralType.CHI_TETRAHEDRAL_CCW)


class Ranked(NamedTuple):
    """A molecule, the canonical rank of each of its atoms, and their places in the input.

    The molecule is the input's, or another with the same graph whose tags are canonical.
    """

    molecule: Any
    ranks: Sequence[int]
    places: Sequence[int]


def rank_atoms(molecules: Sequence[Any], graphs: Graphs) -> list[Ranked]:
    """Return the canonical ranks of the atoms of ``molecules``, whose graphs are ``graphs``."""
    tagged = np.isin(graphs.atoms["chirality"], (_CLOCKWISE, _COUNTERCLOCKWISE))
    centres = Ragged(np.flatnonzero(tagged), offsets_of(_sums(tagged, graphs.atom_offsets)))
    found = []
    for i, (molecule, at) in enumerate(zip(molecules, centres, strict=True)):
        if i in graphs.failures:
            found.append(Ranked(molecule, (), ()))
            continue
        own = (at - graphs.atom_offsets[i]).tolist()
        ranked = _by_smiles(molecule) if own and _depend(molecule, own) else None
        if ranked is None:
            places = range(molecule.GetNumAtoms())
            ranked = Ranked(molecule, Chem.CanonicalRankAtoms(molecule), places)
        found.append(ranked)
    return found


def in_canonical_order(graphs: Graphs, ranked: Sequence[Ranked]) -> tuple[Graphs, np.ndarray]:
    """Return the ``graphs`` of the ``ranked`` molecules in canonical order, and the atoms' places.

    The places in the input are ``(atoms,)`` of uint16. Bonds lead from the lower to the higher atom
    and are sorted. Tags of tetrahedral centres refer to their neighbours in ascending order.
    """
    total = int(graphs.atom_offsets[-1])
    ranks, places = (
        np.fromiter(chain.from_iterable(part), np.int64, total)
        for part in ((one.ranks for one in ranked), (one.places for one in ranked))
    )
    rows = np.arange(len(ranked))
    of_atom = np.repeat(rows, np.diff(graphs.atom_offsets))
    of_bond = np.repeat(rows, np.diff(graphs.bond_offsets))
    firsts = graphs.atom_offsets[of_bond]
    one, other = firsts + graphs.bonds["begin"], firsts + graphs.bonds["end"]
    atoms = dict(graphs.atoms)
    atoms["chirality"] = _retagged(
        atoms["chirality"],
        np.concatenate([one, other]),
        np.concatenate([ranks[other], ranks[one]]),
    )
    low, high = np.minimum(ranks[one], ranks[other]), np.maximum(ranks[one], ranks[other])
    bonds = {**graphs.bonds, "begin": low, "end": high}
    order = np.lexsort((ranks, of_atom))
    bond_order = np.lexsort((high, low, of_bond))
    ordered = graphs._replace(
        atoms={name: values[order] for name, values in atoms.items()},
        bonds={name: values[bond_order] for name, values in bonds.items()},
    )
    return ordered, places[order].astype(np.uint16)


def _sums(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    return np.diff(np.concatenate([np.zeros(1, np.int64), np.cumsum(values)])[offsets])


def _depend(molecule: Any, centres: Sequence[int]) -> bool:
    """Tell whether a centre has neighbours that are alike but for the stereochemistry."""
    classes = Chem.CanonicalRankAtoms(molecule, breakTies=False, includeChirality=False)
    for centre in centres:
        neighbours = [a.GetIdx() for a in molecule.GetAtomWithIdx(centre).GetNeighbors()]
        if len({classes[i] for i in neighbours}) < len(neighbours):
            return True
    return False


def _keeping_hydrogens() -> Any:
    params: Any = Chem.SmilesParserParams()
    params.removeHs = False
    return params


_KEEPING_HYDROGENS: Final = _keeping_hydrogens()


def _by_smiles(molecule: Any) -> Ranked | None:
    """Return the molecule of the canonical SMILES, in its order; None if it cannot be read back."""
    smiles = Chem.MolToSmiles(molecule)
    places = list(molecule.GetPropsAsDict(True, True)["_smilesAtomOutputOrder"])
    again: Any = Chem.MolFromSmiles(smiles, _KEEPING_HYDROGENS)
    if again is None or again.GetNumAtoms() != len(places):
        return None
    return Ranked(again, range(len(places)), places)


def _retagged(chirality: np.ndarray, centres: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    """Return the tags for neighbours in ascending order instead of the order of bonds.

    The atom ``centres[k]`` has the neighbour ``neighbours[k]``; both halves of them are in the
    order of bonds. An odd permutation of the neighbours turns a tag into the other.
    """
    tetrahedral = (chirality == _CLOCKWISE) | (chirality == _COUNTERCLOCKWISE)
    bond = np.tile(np.arange(len(centres) // 2), 2)
    used = np.flatnonzero(tetrahedral[centres])
    used = used[np.lexsort((bond[used], centres[used]))]
    at, counts = np.unique(centres[used], return_counts=True)
    ranks, given = Ragged(neighbours[used], offsets_of(counts)).padded()
    inversions = np.zeros(len(at), np.int64)
    for i in range(ranks.shape[1]):
        inversions += (given[:, i + 1 :] & (ranks[:, i + 1 :] < ranks[:, i, None])).sum(axis=1)
    odd = at[inversions % 2 == 1]
    retagged = chirality.copy()
    retagged[odd] = _CLOCKWISE + _COUNTERCLOCKWISE - retagged[odd]
    return retagged
