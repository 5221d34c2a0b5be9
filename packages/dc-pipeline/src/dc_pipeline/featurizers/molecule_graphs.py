"""Read the atoms and bonds of molecules in bulk.

Asking RDKit for ten properties of each atom takes longer than parsing the SMILES. A molecule's
binary form, :meth:`Mol.ToBinary`, holds them all, takes a fraction of that time to make, and NumPy
reads many of them at once: the first atoms of all molecules, then all second ones, and so on,
because records differ in length; their fields follow for all atoms together.

The binary form belongs to RDKit and may change. It is read here only if its header is that of the
RDKit in use, and if this RDKit's binaries of some molecules were found to say what it says itself.
Molecules with what is not read here (atom maps, queries, more than 255 atoms) and all molecules of
an unknown RDKit are read atom by atom, which is slower and gives the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
from rdkit import Chem


class Graphs(NamedTuple):
    """The graphs of n molecules: their atoms and bonds, by field, and where each has its own.

    ``atoms`` and ``bonds`` are arrays ``(total,)`` of int64 by name; graph i has the atoms from
    ``atom_offsets[i]`` to ``atom_offsets[i + 1]``. ``begin`` and ``end`` of bonds count from 0 in
    each graph. ``failures`` has the reasons of molecules that could not be read, by their
    places; they have no atoms.
    """

    atoms: dict[str, np.ndarray]
    bonds: dict[str, np.ndarray]
    atom_offsets: np.ndarray
    bond_offsets: np.ndarray
    failures: dict[int, str]


def read_graphs(molecules: Sequence[Any]) -> Graphs:
    """Return the graphs of RDKit ``molecules``; one that was not sanitized may have none.

    A molecule may also be given by what :meth:`Mol.ToBinary` returned, as bytes. They must come
    from a trusted source: what is not read here, RDKit reads.
    """
    header = known_header()
    binaries = [m if isinstance(m, bytes) else m.ToBinary(0) if header else b"" for m in molecules]
    graphs, understood = _decode(binaries, header)
    others = np.flatnonzero(~understood)
    return (
        _with_others(graphs, {i: molecules[i] for i in others.tolist()}) if len(others) else graphs
    )


def one_line(error: Exception) -> str:
    """Return RDKit's message in ``error``, without the place in its sources."""
    text = str(error).partition("Violation occurred")[0].partition("RDKIT:")[0]
    return " ".join(text.split()) or type(error).__name__


_PROBES: Final = (
    "C[C@@H](N)C(=O)[O-]",
    "F/C=C\\C#N",
    "[13CH3][S+](C)c1ccc2[nH]ccc2c1",
    "[O][N]C1CC2CC1CC2",
    "Cl[Pt](Cl)(<-N)<-N",
)


@cache
def known_header() -> bytes:
    """Return the first bytes of this RDKit's binaries, empty if their form is not the known one."""
    probes = [Chem.MolFromSmiles(smiles) for smiles in _PROBES]
    binaries = [molecule.ToBinary(0) for molecule in probes]
    header: bytes = binaries[0][:_COUNTS]
    decoded, understood = _decode(binaries, header)
    asked = _joined([_asked(molecule) for molecule in probes], {})
    same = understood.all() and all(
        np.array_equal(ours[name], theirs[name])
        for ours, theirs in ((decoded.atoms, asked.atoms), (decoded.bonds, asked.bonds))
        for name in theirs
    )
    return header if same else b""


_COUNTS: Final = 20
"""Where the numbers of atoms and bonds are, after the header."""

_RECORDS: Final = 30
"""Where the first atom is."""

_SMALL: Final = 255
"""Up to this number of atoms, their indices have one byte."""

_BEGIN: Final = 0x01, 0x0B, 0x42
"""The bytes before atoms, bonds and rings."""

_ATOM_HEAD: Final = 6
_UNREAD_FLAGS: Final = 0b10011110
"""Atoms with queries, maps, labels of dummies or residues, which have more fields."""

_FIELD_BYTES: Final = np.array([4, 1, 1, 1, 1, 1, 1, 1, 4])
"""The bytes of an atom's optional fields: mass, charge, chirality, hybridization, explicit
hydrogens, explicit valence, implicit hydrogens, radicals, isotope."""

_GIVEN: Final = (np.arange(512)[:, None] >> np.arange(9)) & 1
_PLACES: Final = _ATOM_HEAD + np.cumsum(_GIVEN * _FIELD_BYTES, axis=1) - _GIVEN * _FIELD_BYTES
_SIZES: Final = _ATOM_HEAD + (_GIVEN * _FIELD_BYTES).sum(axis=1)
_PADDING: Final = bytes(1024)
_SP3: Final = int(Chem.HybridizationType.SP3)


def _decode(binaries: Sequence[bytes], header: bytes) -> tuple[Graphs, np.ndarray]:
    """Return the graphs of ``binaries``, and which of them were understood; the others are empty.

    Numbers in a damaged binary lead nowhere else than into ``data``, whose end is padded.
    """
    lengths = np.fromiter(map(len, binaries), np.int64, len(binaries))
    data = np.frombuffer(b"".join([*binaries, _PADDING]), np.uint8)
    ends = np.cumsum(lengths)
    starts = ends - lengths
    understood = lengths > _RECORDS
    if not header:
        understood[:] = False
    start = _bytes_at(data, starts, _COUNTS)
    understood &= (start == np.frombuffer(header.ljust(_COUNTS), np.uint8)).all(axis=1)
    counts = _bytes_at(data, starts + _COUNTS, 8).copy().view("<i4").astype(np.int64)
    understood &= (counts >= 0).all(axis=1) & (counts[:, 0] <= _SMALL)
    understood &= (counts.sum(axis=1) < lengths) & (data[starts + _RECORDS - 1] == _BEGIN[0])
    counts[~understood] = 0

    def atom_sizes(at: np.ndarray) -> Any:
        return _SIZES[data[at + 2] | (data[at + 3] & 1).astype(np.int64) << 8]

    def bond_sizes(at: np.ndarray) -> Any:
        flags = data[at + 2]
        stereo = (flags >> 1) & 1
        extra = ((flags >> 3) & 1) + ((flags >> 2) & 1)
        return 3 + extra + stereo * (2 + data[at + 4 + extra].astype(np.int64))

    def ring_sizes(at: np.ndarray) -> Any:
        return 1 + data[at].astype(np.int64)

    atoms, after = _records(starts + _RECORDS, counts[:, 0], ends, atom_sizes)
    understood &= data[after] == _BEGIN[1]
    bonds, after = _records(after + 1, counts[:, 1], ends, bond_sizes)
    understood &= data[after] == _BEGIN[2]
    rings = _bytes_at(data, after + 1, 4).copy().view("<i4")[:, 0].astype(np.int64)
    understood &= (rings >= 0) & (rings <= counts[:, 1])
    rings[~understood] = 0
    ring_at, after = _records(after + 5, rings, ends, ring_sizes)
    understood &= after <= ends

    flags, sizes = data[atoms + 1], data[atoms + 2] | (data[atoms + 3] & 1).astype(np.int64) << 8
    unread = (flags & _UNREAD_FLAGS) | (data[atoms + 3] & 0xFE) | data[atoms + 4] | data[atoms + 5]
    unread |= data[atoms + 2] & 1
    isotope_at = atoms + _PLACES[sizes, 8]
    isotope = data[isotope_at] | data[isotope_at + 1].astype(np.int64) << 8
    has_isotope = sizes >> 8 & 1
    unread |= np.where(has_isotope, data[isotope_at + 2] | data[isotope_at + 3], 0).astype(np.uint8)
    of_atom = np.repeat(np.arange(len(binaries)), counts[:, 0])
    of_bond = np.repeat(np.arange(len(binaries)), counts[:, 1])
    understood[of_atom[unread > 0]] = False
    bond_flags = data[bonds + 2]
    begin, end = data[bonds].astype(np.int64), data[bonds + 1].astype(np.int64)
    outside = (np.maximum(begin, end) >= counts[of_bond, 0]) | (bond_flags & 0b10010001 > 0)
    understood[of_bond[outside]] = False

    def field(place: int, default: int = 0) -> np.ndarray:
        found = data[atoms + _PLACES[sizes, place]].astype(np.int64)
        return np.where(sizes >> place & 1, found, default)

    charge = field(1)
    ring_atoms, ring_bonds = _ring_members(data, ring_at, np.repeat(np.arange(len(rings)), rings))
    atom_offsets, bond_offsets = offsets_of(counts[:, 0]), offsets_of(counts[:, 1])
    firsts = atom_offsets[of_bond]
    in_graph = understood[of_bond]
    neighbours = np.concatenate([firsts + begin, firsts + end])[np.tile(in_graph, 2)]
    place = np.arange(len(atoms)) - atom_offsets[of_atom]
    decoded = {
        "number": data[atoms].astype(np.int64),
        "isotope": np.where(has_isotope, isotope, 0),
        "charge": np.where(charge > 127, charge - 256, charge),
        "hydrogens": field(4) + field(6),
        "degree": np.bincount(neighbours, minlength=len(atoms)),
        "hybridization": field(3, _SP3),
        "chirality": field(2),
        "radicals": field(7),
        "aromatic": (flags >> 6 & 1).astype(np.int64),
        "ring": np.isin(of_atom << 8 | place, ring_atoms).astype(np.int64),
    }
    has_type, has_direction = bond_flags >> 3 & 1, bond_flags >> 2 & 1
    low, high = np.minimum(begin, end), np.maximum(begin, end)
    joined = {
        "begin": begin,
        "end": end,
        "type": np.where(has_type, data[bonds + 3], 1).astype(np.int64),
        "stereo": np.where(
            bond_flags >> 1 & 1, data[bonds + 3 + has_type + has_direction], 0
        ).astype(np.int64),
        "conjugated": (bond_flags >> 5 & 1).astype(np.int64),
        "ring": np.isin(of_bond << 16 | low << 8 | high, ring_bonds).astype(np.int64),
    }
    graphs = Graphs(decoded, joined, atom_offsets, bond_offsets, {})
    return (graphs if understood.all() else _only(graphs, understood)), understood


def _bytes_at(data: np.ndarray, starts: np.ndarray, count: int) -> np.ndarray:
    return data[starts[:, None] + np.arange(count)]


def offsets_of(counts: np.ndarray) -> np.ndarray:
    """Return where rows of the lengths ``counts`` begin, and where the last one ends."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])


def _records(
    starts: np.ndarray, counts: np.ndarray, ends: np.ndarray, sizes: Callable[[np.ndarray], Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Return where each record begins, those of a molecule in a row, and where the last one ends.

    ``sizes`` tells the sizes of the records at some places.
    """
    firsts = offsets_of(counts)
    places = np.empty(firsts[-1], np.int64)
    order = np.argsort(-counts, kind="stable")
    at, targets, limits = starts[order], firsts[order], ends[order]
    # For each k, the number of molecules that have more than k records.
    active = len(counts) - np.cumsum(np.bincount(counts, minlength=1))
    for k, n in enumerate(active[:-1].tolist()):
        places[targets[:n] + k] = at[:n]
        at[:n] = np.minimum(at[:n] + sizes(at[:n]), limits[:n])
    after = np.empty_like(starts)
    after[order] = at
    return places, after


def _ring_members(
    data: np.ndarray, rings: np.ndarray, of_ring: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the atoms and bonds of the rings, as numbers with the molecule in the upper bits."""
    sizes = data[rings].astype(np.int64)
    firsts = np.cumsum(sizes) - sizes
    k = np.arange(sizes.sum()) - np.repeat(firsts, sizes)
    at, following = np.repeat(rings, sizes) + 1, (k + 1) % np.maximum(1, np.repeat(sizes, sizes))
    atoms, others = data[at + k].astype(np.int64), data[at + following].astype(np.int64)
    molecule = np.repeat(of_ring, sizes)
    low, high = np.minimum(atoms, others), np.maximum(atoms, others)
    return molecule << 8 | atoms, molecule << 16 | low << 8 | high


def _only(graphs: Graphs, kept: np.ndarray) -> Graphs:
    """Return the graphs with those that are not ``kept`` empty."""
    counts = np.diff(graphs.atom_offsets), np.diff(graphs.bond_offsets)
    in_atoms, in_bonds = (np.repeat(kept, count) for count in counts)
    return Graphs(
        {name: values[in_atoms] for name, values in graphs.atoms.items()},
        {name: values[in_bonds] for name, values in graphs.bonds.items()},
        offsets_of(np.where(kept, counts[0], 0)),
        offsets_of(np.where(kept, counts[1], 0)),
        graphs.failures,
    )


_ATOM_GETTERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "number": Chem.Atom.GetAtomicNum,
    "isotope": Chem.Atom.GetIsotope,
    "charge": Chem.Atom.GetFormalCharge,
    "hydrogens": Chem.Atom.GetTotalNumHs,
    "degree": Chem.Atom.GetDegree,
    "hybridization": Chem.Atom.GetHybridization,
    "chirality": Chem.Atom.GetChiralTag,
    "radicals": Chem.Atom.GetNumRadicalElectrons,
    "aromatic": Chem.Atom.GetIsAromatic,
    "ring": Chem.Atom.IsInRing,
}
_BOND_GETTERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "begin": Chem.Bond.GetBeginAtomIdx,
    "end": Chem.Bond.GetEndAtomIdx,
    "type": Chem.Bond.GetBondType,
    "stereo": Chem.Bond.GetStereo,
    "conjugated": Chem.Bond.GetIsConjugated,
    "ring": Chem.Bond.IsInRing,
}

Fields = dict[str, np.ndarray]


def _asked(molecule: Any) -> tuple[Fields, Fields]:
    """Return the fields of the atoms and bonds of a molecule, asked for one by one."""
    atoms, bonds = list(molecule.GetAtoms()), list(molecule.GetBonds())
    return (
        {n: np.fromiter(map(get, atoms), np.int64, len(atoms)) for n, get in _ATOM_GETTERS.items()},
        {n: np.fromiter(map(get, bonds), np.int64, len(bonds)) for n, get in _BOND_GETTERS.items()},
    )


_NOTHING: Final[tuple[Fields, Fields]] = (
    {name: np.zeros(0, np.int64) for name in _ATOM_GETTERS},
    {name: np.zeros(0, np.int64) for name in _BOND_GETTERS},
)


def _with_others(graphs: Graphs, others: Mapping[int, Any]) -> Graphs:
    """Return the graphs with the ``others``, which are empty in them, asked for one by one."""
    parts: list[tuple[Fields, Fields]] = []
    failures: dict[int, str] = {}
    read: Any = Chem.Mol
    done = 0
    for i, molecule in others.items():
        parts += [_part(graphs, done, i)]
        try:
            parts.append(_asked(read(molecule) if isinstance(molecule, bytes) else molecule))
        except RuntimeError as error:
            failures[i] = one_line(error)
            parts.append(_NOTHING)
        done = i + 1
    joined = _joined([*parts, _part(graphs, done, len(graphs.atom_offsets) - 1)], failures)
    added = dict(zip(others, parts[1::2], strict=True))
    counts = np.diff(graphs.atom_offsets), np.diff(graphs.bond_offsets)
    for i, (atoms, bonds) in added.items():
        counts[0][i], counts[1][i] = len(atoms["number"]), len(bonds["type"])
    return joined._replace(atom_offsets=offsets_of(counts[0]), bond_offsets=offsets_of(counts[1]))


def _part(graphs: Graphs, start: int, stop: int) -> tuple[Fields, Fields]:
    """Return the fields of the graphs from ``start`` to ``stop``, as views."""
    atoms = slice(graphs.atom_offsets[start], graphs.atom_offsets[stop])
    bonds = slice(graphs.bond_offsets[start], graphs.bond_offsets[stop])
    return (
        {name: values[atoms] for name, values in graphs.atoms.items()},
        {name: values[bonds] for name, values in graphs.bonds.items()},
    )


def _joined(parts: Sequence[tuple[Fields, Fields]], failures: dict[int, str]) -> Graphs:
    """Return the graphs of ``parts``, one a part."""
    atoms, bonds = (
        {name: np.concatenate([part[k][name] for part in parts]) for name in parts[0][k]}
        for k in (0, 1)
    )
    return Graphs(
        atoms,
        bonds,
        offsets_of(np.array([len(part[0]["number"]) for part in parts])),
        offsets_of(np.array([len(part[1]["type"]) for part in parts])),
        failures,
    )
