"""Expansion of codes: number for number the features of published schemes, by batch.

The oracles define each scheme again, atom by atom, from the sources of DeepChem
(``deepchem/utils/molecule_feature_utils.py``), chemprop 2 (``chemprop/featurizers``) and OGB
(``ogb/utils/features.py``).
"""

import pickle

import numpy as np
import pytest
from rdkit import Chem, RDConfig
from rdkit.Chem import ChemicalFeatures

from dc_core import MappedDataset, NumpyDataset, Ragged
from dc_core.errors import DatasetError, ParameterError
from dc_pipeline import DatasetWriter, DiskDataset, GraphExpansion, MolecularGraph
from dc_pipeline.featurizers.graph_schemes import CodeTable

SMILES = [
    "CC(=O)Oc1ccccc1C(=O)O",
    "C[C@H](N)C(=O)[O-]",
    "F/C=C\\C#N",
    "[13CH3]S(=O)(=O)N1CCNCC1",
    "C",
    "[Na+].[Cl-]",
    "Cl[Pt](<-[NH3])(<-[NH3])Cl",
    "*C[Se]C",
    "[CH2]C",
    "S(F)(F)(F)(F)(F)F",
    "[U+6]",
    "Cl[Pt@SP1](F)(N)O",
    "O=[N+]([O-])c1ccc2[nH]ccc2c1",
    "[300CH4]",
]
_FACTORY = ChemicalFeatures.BuildFeatureFactory(f"{RDConfig.RDDataDir}/BaseFeatures.fdef")


def one_hot(value, choices, other=True):
    hot = [float(value == choice) for choice in choices]
    return [*hot, float(value not in choices)] if other else hot


def deepchem(molecule):
    bonding = [(f.GetAtomIds()[0], f.GetFamily()) for f in _FACTORY.GetFeaturesForMol(molecule)]
    atoms = [
        one_hot(a.GetSymbol(), ["C", "N", "O", "F", "P", "S", "Cl", "Br", "I"])
        + [float(a.GetFormalCharge())]
        + one_hot(str(a.GetHybridization()), ["SP", "SP2", "SP3"], other=False)
        + [float((a.GetIdx(), family) in bonding) for family in ("Donor", "Acceptor")]
        + [float(a.GetIsAromatic())]
        + one_hot(a.GetTotalDegree(), [0, 1, 2, 3, 4, 5])
        + one_hot(a.GetTotalNumHs(), [0, 1, 2, 3, 4])
        for a in molecule.GetAtoms()
    ]
    bonds = [
        [
            *one_hot(str(b.GetBondType()), ["SINGLE", "DOUBLE", "TRIPLE", "AROMATIC"], other=False),
            float(b.IsInRing()),
            float(b.GetIsConjugated()),
            *one_hot(str(b.GetStereo()), ["STEREONONE", "STEREOANY", "STEREOZ", "STEREOE"]),
        ]
        for b in molecule.GetBonds()
    ]
    return atoms, bonds


def chemprop(molecule):
    kinds = ["S", "SP", "SP2", "SP2D", "SP3", "SP3D", "SP3D2"]
    atoms = [
        one_hot(a.GetAtomicNum(), [*range(1, 37), 53])
        + one_hot(a.GetTotalDegree(), range(6))
        + one_hot(a.GetFormalCharge(), [-1, -2, 1, 2, 0])
        + one_hot(int(a.GetChiralTag()), range(4))
        + one_hot(int(a.GetTotalNumHs()), range(5))
        + one_hot(str(a.GetHybridization()), kinds)
        + [float(a.GetIsAromatic()), 0.01 * a.GetMass()]
        for a in molecule.GetAtoms()
    ]
    bonds = [
        [
            0.0,
            *one_hot(str(b.GetBondType()), ["SINGLE", "DOUBLE", "TRIPLE", "AROMATIC"], other=False),
            float(b.GetIsConjugated()),
            float(b.IsInRing()),
            *one_hot(int(b.GetStereo()), range(6)),
        ]
        for b in molecule.GetBonds()
    ]
    return atoms, bonds


def index(value, choices):
    return choices.index(value) if value in choices else len(choices)


def ogb(molecule):
    chirality = ["CHI_UNSPECIFIED", "CHI_TETRAHEDRAL_CW", "CHI_TETRAHEDRAL_CCW", "CHI_OTHER"]
    stereo = ["STEREONONE", "STEREOZ", "STEREOE", "STEREOCIS", "STEREOTRANS", "STEREOANY"]
    atoms = [
        [
            index(a.GetAtomicNum(), list(range(1, 119))),
            index(str(a.GetChiralTag()), chirality),
            index(a.GetTotalDegree(), list(range(11))),
            index(a.GetFormalCharge(), list(range(-5, 6))),
            index(a.GetTotalNumHs(), list(range(9))),
            index(a.GetNumRadicalElectrons(), list(range(5))),
            index(str(a.GetHybridization()), ["SP", "SP2", "SP3", "SP3D", "SP3D2"]),
            int(a.GetIsAromatic()),
            int(a.IsInRing()),
        ]
        for a in molecule.GetAtoms()
    ]
    bonds = [
        [
            index(str(b.GetBondType()), ["SINGLE", "DOUBLE", "TRIPLE", "AROMATIC"]),
            stereo.index(str(b.GetStereo())),
            int(b.GetIsConjugated()),
        ]
        for b in molecule.GetBonds()
    ]
    return atoms, bonds


ORACLES = {"deepchem": (deepchem, 30, 11), "chemprop": (chemprop, 72, 14), "ogb": (ogb, 9, 3)}


def graphs(smiles, **options):
    features = MolecularGraph(hydrogen_bonding=True, **options).featurize(smiles, strict=True)
    return NumpyDataset(features.values, np.arange(len(smiles)), ids=smiles)


def assert_is_the_scheme(name, X, smiles):
    oracle, columns, bond_columns = ORACLES[name]
    dtype = np.uint8 if name == "ogb" else np.float32
    for i, text in enumerate(smiles):
        molecule = Chem.MolFromSmiles(text)
        atoms, bonds = oracle(molecule)
        expected = np.array(atoms, dtype).reshape(-1, columns)
        np.testing.assert_array_equal(X["atoms"][i], expected, strict=True)
        directed = np.repeat(np.array(bonds, dtype).reshape(-1, bond_columns), 2, axis=0)
        np.testing.assert_array_equal(X["bonds"][i], directed, strict=True)
        ends = [(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in molecule.GetBonds()]
        edges = [edge for begin, end in ends for edge in ((begin, end), (end, begin))]
        assert X["edges"][i].tolist() == [list(edge) for edge in edges]


@pytest.mark.parametrize("name", ORACLES)
def test_features_are_those_of_the_published_scheme(name):
    expanded = GraphExpansion(name).transform(graphs(SMILES))
    assert isinstance(expanded, MappedDataset)
    assert expanded.columns == ("atoms", "bonds", "edges", "reverse")
    assert_is_the_scheme(name, expanded.X, SMILES)


@pytest.mark.parametrize("name", ORACLES)
def test_features_of_public_molecules_are_those_of_the_published_scheme(name, public_smiles):
    smiles = [s for s in public_smiles[::20] if MolecularGraph().featurize([s]).ok[0]]
    assert_is_the_scheme(name, GraphExpansion(name).transform(graphs(smiles)).X, smiles)


@pytest.mark.parametrize("name", ORACLES)
def test_every_edge_is_the_reverse_of_its_reverse(name):
    X = GraphExpansion(name).transform(graphs(SMILES)).X
    for edges, reverse, bonds in zip(X["edges"], X["reverse"], X["bonds"], strict=True):
        np.testing.assert_array_equal(edges[reverse], edges[:, ::-1])
        np.testing.assert_array_equal(reverse[reverse], np.arange(len(reverse)))
        np.testing.assert_array_equal(bonds[reverse], bonds)


def test_a_row_does_not_depend_on_its_batch():
    expanded = GraphExpansion("chemprop").transform(graphs(SMILES))
    whole = expanded.X
    for batch in expanded.batches(3, shuffle=True, seed=1):
        for i, smiles in enumerate(batch.ids.tolist()):
            for name, column in batch.X.items():
                np.testing.assert_array_equal(column[i], whole[name][SMILES.index(smiles)])


def test_codes_on_disk_are_expanded_when_they_are_read(tmp_path):
    with DatasetWriter(tmp_path / "graphs", code=MolecularGraph().codes) as writer:
        writer.append(graphs(SMILES))
    expanded = GraphExpansion("ogb").transform(DiskDataset(tmp_path / "graphs"))
    rows = np.array([5, 1, 3])
    assert_is_the_scheme("ogb", expanded.rows(rows).X, [SMILES[i] for i in rows])


def test_graphs_of_public_molecules_take_less_than_200_bytes_on_disk(tmp_path, public_smiles):
    values = MolecularGraph().featurize(public_smiles).values
    with DatasetWriter(tmp_path / "graphs", code=MolecularGraph().codes) as writer:
        writer.append(NumpyDataset(values))
    size = sum(file.stat().st_size for file in (tmp_path / "graphs").glob("x*"))
    assert size / len(public_smiles) < 200


def test_an_expanded_dataset_can_be_pickled_and_selected():
    expanded = GraphExpansion("chemprop").transform(graphs(SMILES))
    again = pickle.loads(pickle.dumps(expanded))[2:4]
    assert_is_the_scheme("chemprop", again.X, SMILES[2:4])


def test_other_columns_are_kept_and_the_order_is_not():
    dataset = graphs(["CO", "CC"], canonical=True)
    X = {**dataset.X, "temperature": np.array([298.0, 310.0])}
    expanded = GraphExpansion("chemprop").transform(NumpyDataset(X))
    assert expanded.columns == ("atoms", "bonds", "temperature", "edges", "reverse")
    assert expanded.X["temperature"].tolist() == [298.0, 310.0]


def test_molecules_without_bonds_and_batches_without_molecules_have_empty_rows():
    X = GraphExpansion("deepchem").transform(graphs(["C", "[Na+]"])).X
    assert [X[name].lengths.tolist() for name in ("bonds", "edges", "reverse")] == [[0, 0]] * 3
    assert X["bonds"].values.shape == (0, 11)
    empty = GraphExpansion("deepchem").transform(graphs(SMILES)).rows(np.arange(0)).X
    assert empty["atoms"].values.shape == (0, 30)


def test_deepchem_needs_to_know_donors_and_acceptors():
    plain = NumpyDataset(MolecularGraph().featurize(["CO"]).values)
    with pytest.raises(DatasetError, match=r"MolecularGraph\(hydrogen_bonding=True\)"):
        _ = GraphExpansion("deepchem").transform(plain).X


def test_what_are_not_codes_is_a_typed_error():
    with pytest.raises(DatasetError, match="one column without a name"):
        GraphExpansion("ogb").transform(NumpyDataset(["CO"]))
    column = Ragged.from_rows([[1, 2]], np.uint8)
    dataset = GraphExpansion("ogb").transform(NumpyDataset({"atoms": column, "bonds": column}))
    with pytest.raises(DatasetError, match="atoms must be ragged and of uint64"):
        _ = dataset.X
    with pytest.raises(ParameterError, match="deepchem, chemprop, ogb"):
        GraphExpansion("dgl")


def test_a_table_with_too_many_codes_is_made_anew(monkeypatch):
    monkeypatch.setattr("dc_pipeline.featurizers.graph_schemes._MAX_CODES", 4)
    table = CodeTable(lambda codes: codes[:, None] * 10, np.uint64)
    for codes in ([1, 2, 3], [3, 4], [5, 6, 7], [1], [9, 8, 7, 6, 5, 4]):
        given = np.array(codes, np.uint64)
        assert table(given)[:, 0].tolist() == [10 * code for code in codes]
        assert table(given, repeats=2)[1::2, 0].tolist() == [10 * code for code in codes]
