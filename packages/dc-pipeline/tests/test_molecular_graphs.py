"""Molecular graphs: what RDKit says of each atom and bond, in codes, in any order of the input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem, RDConfig, rdBase
from rdkit.Chem import AllChem, ChemicalFeatures

from dc_core import Ragged
from dc_core.errors import DatasetError, FeaturizationError, ParameterError
from dc_pipeline import MolecularGraph, MoleculeBinary
from dc_pipeline.featurizers import molecule_graphs
from dc_pipeline.featurizers.graph_codes import ATOM_FIELDS, BOND_FIELDS, Field, pack
from dc_pipeline.featurizers.molecules import parse_smiles

SMILES = [
    "CCO",
    "c1ccc2[nH]ccc2c1",
    "C[C@@H](N)C(=O)O",
    "F/C=C\\F",
    "[13CH3][C@](F)(Cl)Br",
    "[NH3+]CC([O-])=O",
    "[Na+].[Cl-]",
    "[CH2]C",
    "Cl[Pt](<-[NH3])(<-[NH3])Cl",
    "*c1ccccc1",
    "[CH3:7]C[OH:3]",
    "C1CC2CCC1CC2",
    "[2H]OC([2H])C#N",
    "Cl[Pt@SP1](F)(N)O",
    "S(F)(F)(F)(F)(F)F",
    "[U+6]",
    "O=[N+]([O-])c1ccc(B(O)O)cc1",
    "C~C",
    "C" * 300,
]

SYMMETRIC = [
    "C12C3C4C1C5C2C3C45",
    "C[C@H]1CC[C@@H](C)CC1",
    "C[C@H]1CC[C@H](C)CC1",
    "C[C@H]1[C@@H](C)[C@H](C)[C@@H]1C",
    "O[C@H](C(=O)O)[C@@H](O)C(=O)O",
    "O[C@@H](C(=O)O)[C@@H](O)C(=O)O",
    "C[C@H](O)[C@H](O)[C@@H](C)O",
    "C/C=C/C(/C=C\\C)O",
    "C1CCC2(CC1)CCCCC2",
    "CC1=C(C)[C@]2(CC[C@H](C(=O)O)CC2)C1",
    "CC.CC",
    "C[N+](C)(C)C.[I-]",
    "c1ccc2c(c1)c1ccccc12",
]


def asked(molecule):
    """Ask RDKit for every field of every atom and bond, one by one."""
    atoms = [
        {
            "number": a.GetAtomicNum(),
            "isotope": a.GetIsotope(),
            "charge": a.GetFormalCharge(),
            "hydrogens": a.GetTotalNumHs(),
            "degree": a.GetDegree(),
            "hybridization": int(a.GetHybridization()),
            "chirality": int(a.GetChiralTag()),
            "radicals": a.GetNumRadicalElectrons(),
            "aromatic": int(a.GetIsAromatic()),
            "ring": int(a.IsInRing()),
        }
        for a in molecule.GetAtoms()
    ]
    bonds = [
        {
            "begin": b.GetBeginAtomIdx(),
            "end": b.GetEndAtomIdx(),
            "type": int(b.GetBondType()),
            "stereo": int(b.GetStereo()),
            "conjugated": int(b.GetIsConjugated()),
            "ring": int(b.IsInRing()),
        }
        for b in molecule.GetBonds()
    ]
    return atoms, bonds


def read(codes, fields, names):
    """Return the fields ``names`` of each code."""
    columns = [fields[name].of(codes).tolist() for name in names]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def assert_says_what_rdkit_says(features, molecules):
    assert len(features.values["atoms"]) == len(molecules)
    for i, molecule in enumerate(molecules):
        atoms, bonds = asked(molecule)
        if atoms:
            assert read(features.values["atoms"][i], ATOM_FIELDS, list(atoms[0])) == atoms
        if bonds:
            assert read(features.values["bonds"][i], BOND_FIELDS, list(bonds[0])) == bonds


def same(one, i, other, k):
    """Tell whether two graphs are equal, bit for bit."""
    return all(np.array_equal(one.values[n][i], other.values[n][k]) for n in ("atoms", "bonds"))


def shuffled(molecule, rng):
    return Chem.RenumberAtoms(molecule, rng.permutation(molecule.GetNumAtoms()).tolist())


def test_every_field_is_what_rdkit_says():
    features = MolecularGraph().featurize(SMILES, strict=True)
    assert features.values["atoms"].dtype == np.uint64
    assert features.values["bonds"].dtype == np.uint32
    assert_says_what_rdkit_says(features, [Chem.MolFromSmiles(s) for s in SMILES])


def test_every_field_of_public_molecules_is_what_rdkit_says(public_smiles):
    features = MolecularGraph().featurize(public_smiles)
    with rdBase.BlockLogs():
        molecules = [Chem.MolFromSmiles(s) for s in public_smiles]
    assert features.ok.tolist() == [molecule is not None for molecule in molecules]
    kept = {name: column[features.ok] for name, column in features.values.items()}
    assert_says_what_rdkit_says(
        type(features)(kept, features.ok[features.ok]), [m for m in molecules if m is not None]
    )


@pytest.mark.parametrize("form", ["text", "molecule", "batch", "binary"])
def test_texts_molecules_and_binaries_give_the_same(form):
    molecules = [Chem.MolFromSmiles(s) for s in SMILES]
    inputs = {
        "text": SMILES,
        "molecule": molecules,
        "batch": parse_smiles(SMILES),
        "binary": MoleculeBinary().featurize(SMILES, strict=True).values,
    }[form]
    for options in ({}, {"canonical": True}, {"hydrogens": True}, {"hydrogen_bonding": True}):
        expected = MolecularGraph(**options).featurize(SMILES)
        found = MolecularGraph(**options).featurize(inputs)
        assert all(same(expected, i, found, i) for i in range(len(SMILES)))


@pytest.mark.parametrize("options", [{}, {"canonical": True}])
def test_binaries_without_a_valid_seal_fail_alone_and_large_ones_with_their_size(options):
    column = MoleculeBinary().featurize(["CCO", "C1CC", "CCC", "CCCCC"]).values
    values = column.values.copy()
    values[column.offsets[2] + 40] ^= 1
    features = MolecularGraph(max_atoms=4, **options).featurize(Ragged(values, column.offsets))
    assert features.ok.tolist() == [True, False, False, False]
    assert [f.status for f in features.failures] == ["parse", "parse", "size"]
    assert "no valid seal" in features.failures[1].message
    assert same(features, 0, MolecularGraph(**options).featurize(["CCO"]), 0)


def test_molecules_stored_without_stereochemistry_are_a_typed_error():
    column = MoleculeBinary(stereo=False).featurize(["CCO"]).values
    with pytest.raises(DatasetError, match="STEREO"):
        MolecularGraph().featurize(column)


def test_reading_atom_by_atom_gives_the_same(monkeypatch):
    expected = MolecularGraph(canonical=True).featurize(SMILES)
    assert molecule_graphs.known_header(), "this RDKit's binaries have another form"
    monkeypatch.setattr(molecule_graphs, "known_header", lambda: b"")
    found = MolecularGraph(canonical=True).featurize(SMILES)
    assert all(same(expected, i, found, i) for i in range(len(SMILES)))
    stored = MolecularGraph().featurize(MoleculeBinary().featurize(SMILES).values)
    plain = MolecularGraph().featurize(SMILES)
    assert all(same(plain, i, stored, i) for i in range(len(SMILES)))


def test_molecules_with_coordinates_residues_and_stereo_groups_are_read():
    peptide = Chem.MolFromSequence("GAVC")
    conformer = Chem.AddHs(Chem.MolFromSmiles("C[C@H](N)C(=O)O"))
    AllChem.EmbedMolecule(conformer, randomSeed=1)
    groups = Chem.MolFromSmiles("C[C@H](F)[C@@H](C)Cl |o1:1,3|")
    atropisomer = Chem.MolFromSmiles("Cc1cccc(I)c1-c1c(Br)cccc1C |(-0.5,1.5,;0.3,1.9,),wU:7.6|")
    molecules = [peptide, conformer, groups, *([atropisomer] if atropisomer else [])]
    features = MolecularGraph().featurize(molecules, strict=True)
    assert_says_what_rdkit_says(features, molecules)


def test_no_bulk_reading_depends_on_what_else_is_read():
    whole = MolecularGraph().featurize(SMILES)
    for i, smiles in enumerate(SMILES):
        assert same(whole, i, MolecularGraph().featurize([smiles]), 0)


@pytest.mark.parametrize("smiles", SMILES[:-1] + SYMMETRIC)
@pytest.mark.parametrize("hydrogens", [False, True])
def test_the_canonical_graph_does_not_depend_on_the_order_of_atoms(smiles, hydrogens):
    featurizer = MolecularGraph(canonical=True, hydrogens=hydrogens, hydrogen_bonding=True)
    rng = np.random.default_rng(0)
    molecule = Chem.MolFromSmiles(smiles)
    permuted = [shuffled(molecule, rng) for _ in range(20)]
    again = [Chem.MolToSmiles(molecule, doRandom=True) for _ in range(20)]
    features = featurizer.featurize([smiles, *permuted], strict=True)
    assert all(same(features, 0, features, i) for i in range(21))
    if ":" not in smiles and "~" not in smiles:  # what RDKit's SMILES keep
        written = featurizer.featurize(again, strict=True)
        assert all(same(features, 0, written, i) for i in range(20))


def test_the_canonical_graphs_of_public_molecules_do_not_depend_on_the_order_of_atoms(
    public_smiles,
):
    with rdBase.BlockLogs():
        molecules = [m for m in map(Chem.MolFromSmiles, public_smiles[::3]) if m is not None]
    rng = np.random.default_rng(0)
    featurizer = MolecularGraph(canonical=True)
    expected = featurizer.featurize(molecules)
    for inputs in (
        [shuffled(m, rng) for m in molecules],
        [Chem.MolToSmiles(m, doRandom=True) for m in molecules],
    ):
        found = featurizer.featurize(inputs)
        assert [i for i in range(len(molecules)) if not same(expected, i, found, i)] == []


def test_canonical_graphs_distinguish_stereoisomers():
    pairs = [
        ("C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"),
        ("F/C=C/F", "F/C=C\\F"),
        ("C[C@H]1CC[C@@H](C)CC1", "C[C@H]1CC[C@H](C)CC1"),
        ("O[C@H](C(=O)O)[C@@H](O)C(=O)O", "O[C@@H](C(=O)O)[C@@H](O)C(=O)O"),
    ]
    for one, other in pairs:
        features = MolecularGraph(canonical=True).featurize([one, other])
        assert not same(features, 0, features, 1)


@pytest.mark.parametrize("smiles", SMILES + SYMMETRIC)
def test_the_order_leads_back_to_the_atoms_of_the_input(smiles):
    plain = MolecularGraph().featurize([smiles])
    canonical = MolecularGraph(canonical=True).featurize([smiles])
    order = canonical.values["order"][0]
    assert order.dtype == np.uint16
    assert sorted(order) == list(range(len(order)))
    before, after = plain.values["atoms"][0][order], canonical.values["atoms"][0]
    for name in set(ATOM_FIELDS) - {"chirality"}:
        np.testing.assert_array_equal(ATOM_FIELDS[name].of(before), ATOM_FIELDS[name].of(after))

    def bonds(features, names):
        codes = features.values["bonds"][0]
        ends = [names[BOND_FIELDS[end].of(codes)] for end in ("begin", "end")]
        kinds = zip(*(BOND_FIELDS[name].of(codes) for name in list(BOND_FIELDS)[2:]), strict=True)
        return sorted((*sorted(pair), *kind) for *pair, kind in zip(*ends, kinds, strict=True))

    assert bonds(plain, np.arange(len(order))) == bonds(canonical, order)


def test_donors_and_acceptors_are_those_of_rdkit(public_smiles):
    smiles = [*SMILES, *public_smiles[::50]]
    factory = ChemicalFeatures.BuildFeatureFactory(f"{RDConfig.RDDataDir}/BaseFeatures.fdef")
    features = MolecularGraph(hydrogen_bonding=True).featurize(smiles)
    for i in np.flatnonzero(features.ok):
        found = factory.GetFeaturesForMol(Chem.MolFromSmiles(smiles[i]))
        for family, name in (("Donor", "donor"), ("Acceptor", "acceptor")):
            expected = sorted({f.GetAtomIds()[0] for f in found if f.GetFamily() == family})
            marked = ATOM_FIELDS[name].of(features.values["atoms"][i])
            assert np.flatnonzero(marked).tolist() == expected
    assert ATOM_FIELDS["hydrogen_bonding"].of(features.values["atoms"].values).all()
    plain = MolecularGraph().featurize(["CO"]).values["atoms"].values
    assert not ATOM_FIELDS["hydrogen_bonding"].of(plain).any()


def test_hydrogens_are_atoms_if_asked_for():
    features = MolecularGraph(hydrogens=True).featurize(["CO", "C"])
    assert_says_what_rdkit_says(features, [Chem.AddHs(Chem.MolFromSmiles(s)) for s in ("CO", "C")])
    assert features.values["atoms"].lengths.tolist() == [6, 5]


def test_failures_have_empty_rows_and_typed_statuses():
    unsanitized = Chem.MolFromSmiles("C1CC1", sanitize=False)
    inputs = ["CCO", "C1CC", "c1cccc1", "C" * 1001, None, "[5000CH4]", unsanitized, b"no", "C"]
    features = MolecularGraph().featurize(inputs)
    assert features.ok.tolist() == [True, *[False] * 7, True]
    assert [(f.row, f.status) for f in features.failures] == [
        (1, "parse"),
        (2, "sanitize"),
        (3, "size"),
        (4, "parse"),
        (5, "feature"),
        (6, "feature"),
        (7, "parse"),
    ]
    assert "isotope 5000 is not from 0 to 1023" in features.failures[4].message
    assert all(failure.message and failure.input for failure in features.failures)
    assert features.values["atoms"].lengths.tolist() == [3, *[0] * 7, 1]
    assert features.values["bonds"].lengths.tolist() == [2, *[0] * 8]
    with pytest.raises(FeaturizationError, match="row 1"):
        MolecularGraph().featurize(inputs, strict=True)


@pytest.mark.parametrize("options", [{"canonical": True}, {"hydrogens": True}])
def test_a_molecule_that_was_not_sanitized_fails_alone(options):
    unsanitized = Chem.MolFromSmiles("C1CC1", sanitize=False)
    features = MolecularGraph(**options).featurize(["CO", unsanitized, "CO"])
    assert features.ok.tolist() == [True, False, True]
    assert features.failures[0].status == "feature"
    assert same(features, 0, features, 2)


def test_the_limit_of_atoms_counts_the_hydrogens_of_the_graph_and_molecules_of_any_form():
    methane = MolecularGraph(hydrogens=True, max_atoms=5)
    assert methane.featurize(["C"]).ok.all()
    features = methane.featurize(["CC", Chem.MolFromSmiles("CC")])
    assert [f.status for f in features.failures] == ["size"] * 2
    assert "8 atoms" in features.failures[0].message


def test_failures_keep_their_rows_across_chunks():
    inputs = ["C"] * 1500 + ["C1CC"] + ["CC"] * 1000
    features = MolecularGraph().featurize(inputs)
    assert [failure.row for failure in features.failures] == [1500]
    assert features.values["atoms"].lengths.tolist() == [1] * 1500 + [0] + [2] * 1000


def test_no_inputs_give_no_rows():
    features = MolecularGraph(canonical=True).featurize([])
    assert [len(column) for column in features.values.values()] == [0, 0, 0]
    assert features.values["order"].dtype == np.uint16
    with pytest.raises(DatasetError, match="single string"):
        MolecularGraph().featurize("CCO")


@pytest.mark.parametrize("options", [{"max_atoms": 2049}, {"max_atoms": 0}, {"canonical": 1}])
def test_impossible_options_are_a_typed_error(options):
    with pytest.raises(ParameterError):
        MolecularGraph(**options)


@settings(deadline=None)
@given(st.data())
def test_damaged_binaries_are_read_or_not_but_never_beyond_their_end(data):
    """Only what NumPy does is tested: RDKit's own reader is not for untrusted bytes."""
    binary = bytearray(Chem.MolFromSmiles("F/C=C/C1CC1[13CH3]").ToBinary(0))
    for _ in range(data.draw(st.integers(0, 5))):
        place = data.draw(st.integers(20, len(binary) - 1))
        binary[place] = data.draw(st.integers(0, 255))
    damaged = bytes(binary[: data.draw(st.integers(0, len(binary)))])
    good = Chem.MolFromSmiles("CCO")
    graphs, understood = molecule_graphs._decode(
        [good.ToBinary(0), damaged, good.ToBinary(0)], molecule_graphs.known_header()
    )
    assert understood[[0, 2]].all()
    assert graphs.atoms["number"][: graphs.atom_offsets[1]].tolist() == [6, 6, 8]
    assert graphs.atoms["number"][graphs.atom_offsets[2] :].tolist() == [6, 6, 8]
    sizes = np.repeat(np.diff(graphs.atom_offsets), np.diff(graphs.bond_offsets))
    assert (graphs.bonds["end"] < sizes).all()


@given(st.sampled_from(list(ATOM_FIELDS.items())), st.data())
def test_a_field_comes_back_from_its_code(item, data):
    name, field = item
    value = np.array([data.draw(st.integers(field.minimum, field.maximum))])
    others = {n: np.array([f.maximum]) for n, f in ATOM_FIELDS.items() if n != name}
    codes, beyond = pack(ATOM_FIELDS, {name: value, **others}, np.uint64)
    assert beyond == {}
    assert field.of(codes).tolist() == value.tolist()


@pytest.mark.parametrize(("fields", "bits"), [(ATOM_FIELDS, 64), (BOND_FIELDS, 32)])
def test_fields_do_not_overlap(fields: dict[str, Field], bits):
    used = [bit for f in fields.values() for bit in range(f.shift, f.shift + f.bits)]
    assert len(set(used)) == len(used)
    assert max(used) < bits
