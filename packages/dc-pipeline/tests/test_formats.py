"""What is particular to JSON lines, SMILES files, FASTA, SD files, data frames and Parquet."""

import gzip
import json
import math
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rdkit import Chem
from rdkit.Chem import AllChem

from dc_core.errors import LoaderError, ParameterError
from dc_pipeline import (
    ECFP,
    CSVLoader,
    DataFrameLoader,
    FASTALoader,
    JSONLinesLoader,
    ParquetLoader,
    SDFLoader,
    SMILESLoader,
)
from dc_pipeline.featurizers.molecules import HAS_REASONS


@pytest.fixture
def write(tmp_path):
    def write(content, name="file"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def reasons(report):
    return [(failure.row, failure.status, failure.message) for failure in report]


def same(ours, theirs):
    assert ours.X.tolist() == theirs.X.tolist()
    assert ours.ids.tolist() == theirs.ids.tolist()
    assert ours.y.tobytes() == theirs.y.tobytes()
    assert ours.w.tobytes() == theirs.w.tobytes()
    assert (ours.tasks, ours.classes) == (theirs.tasks, theirs.classes)


VALUES = st.none() | st.integers() | st.floats() | st.sampled_from(["1.5", "NA", ">5", "x", ""])


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["C", "CCO", " c1ccccc1 ", ""]), VALUES), min_size=1))
def test_json_csv_and_frames_of_the_same_rows_are_the_same_dataset(write, rows):
    table = [{"smiles": smiles, "y": y} for smiles, y in rows]
    text = "\n".join(f"{smiles},{'' if y is None else y}" for smiles, y in rows)
    expected, report = CSVLoader(tasks="y").load(write(f"smiles,y\n{text}"))
    texts = [None if y is None else str(y) for _, y in rows]
    frame = pd.DataFrame({"smiles": [smiles for smiles, _ in rows], "y": texts})
    sources = [
        (JSONLinesLoader(tasks="y"), write("\n".join(map(json.dumps, table)), "rows.jsonl")),
        (DataFrameLoader(tasks="y"), frame),
        (DataFrameLoader(tasks="y"), pl.DataFrame({"smiles": frame.smiles.tolist(), "y": texts})),
        (DataFrameLoader(tasks="y"), pa.table({"smiles": frame.smiles.tolist(), "y": texts})),
    ]
    for loader, source in sources:
        dataset, failures = loader.load(source)
        same(dataset, expected)
        assert [(f.row, f.status, f.task) for f in failures] == [
            (f.row, f.status, f.task) for f in report
        ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "line 3 is not JSON: Expecting property name"),
        ("[1]", "line 3 is not a JSON object"),
        ("[" * 100_000, "line 3 is not JSON: maximum recursion depth"),
        ('{"smiles": ["C"]}', "the field smiles is not a single value"),
        ('{"smiles": null}', "the input is missing"),
        ('{"y": 3}', "the input is missing"),
        ('{"smiles": "%s"}' % ("C" * 131_073), "the input has more than 131072 characters"),
        ('{"smiles": "C", "y": %s}' % ("9" * 5000), "line 3 is not JSON: Exceeds the limit"),
    ],
    ids=range(8),
)
def test_a_bad_line_of_json_is_a_reported_row(write, line, reason):
    file = write(f'{{"smiles": "C", "y": 1}}\n\n{line}\n{{"smiles": "CC", "y": 2}}\n')
    dataset, report = JSONLinesLoader(tasks="y").load(file)
    assert dataset.X.tolist() == ["C", "CC"]
    (failure,) = report
    assert (failure.row, failure.status) == (1, "parse")
    assert failure.message.startswith(reason)
    assert len(failure.input) <= 131_073


@pytest.mark.parametrize("label", ["[1]", '{"a": 1}', "Infinity", '"much"', "1e999"])
def test_a_label_that_is_not_a_number_loses_its_task_in_json(write, label):
    file = write(f'{{"smiles": "C", "y": {label}}}')
    dataset, (failure,) = JSONLinesLoader(tasks="y").load(file)
    assert math.isnan(dataset.y[0, 0])
    assert (failure.task, failure.status) == ("y", "label")


def test_a_field_that_no_object_has_is_a_typed_error(write):
    file = write('{"SMILES": "C", "y": 1}\n{"smiles": "C"}\n')
    with pytest.raises(LoaderError, match=r"has no field 'logS' in any record. It has: SMILES, sm"):
        JSONLinesLoader(tasks="logS").load(file)


def test_smiles_files_have_names_with_spaces_or_none(write):
    file = write("CCO ethyl alcohol\n\n  c1ccccc1\tbenzene\nO\n")
    dataset, report = SMILESLoader().load(file)
    assert dataset.X.tolist() == ["CCO", "c1ccccc1", "O"]
    assert dataset.ids.tolist() == ["ethyl alcohol", "benzene", "O"]
    assert (dataset.y.shape, len(report)) == ((3, 0), 0)


def test_a_smiles_of_10_mb_is_a_reported_row(write):
    file = write("C one\n" + "C" * 10_000_000 + " long\nCC two\n")
    dataset, report = SMILESLoader(ECFP(size=32)).load(file)
    assert dataset.ids.tolist() == ["one", "two"]
    assert reasons(report) == [(1, "parse", "the input has more than 131072 characters")]
    compressed = write(gzip.compress(file.read_bytes()))
    assert len(SMILESLoader().load(compressed).dataset) == 2


def test_a_header_alone_is_an_empty_dataset(write):
    assert len(SMILESLoader(header=True).load(write("smiles id\n")).dataset) == 0


def test_sequences_are_joined_in_upper_case_without_their_end(write):
    file = write(">sp|P1|A first\r\nmkv\r\nLA-G*\r\n; a comment\r\n>\nACGT\n>n x\nA C\n\nGT")
    dataset, report = FASTALoader().load(file)
    assert dataset.X.tolist() == ["MKVLA-G", "ACGT", "ACGT"]
    assert dataset.ids.tolist() == ["sp|P1|A", "sequence1", "n"]
    assert len(report) == 0


@pytest.mark.parametrize(
    ("record", "status", "reason"),
    [
        (">b\n", "parse", "line 3: 'b' has no sequence"),
        (">b\n*\n", "parse", "line 3: 'b' has no sequence"),
        (">b\nMK\nV7\n", "parse", "line 3: the sequence of 'b' has '7' at 4"),
        (">b\nM*V\n", "parse", "line 3: the sequence of 'b' has '*' at 2"),
        (">b\n" + "M" * 9, "size", "line 3: the sequence of 'b' has 9 letters; the limit is max"),
    ],
    ids=range(5),
)
def test_a_bad_sequence_is_a_reported_row(write, record, status, reason):
    dataset, report = FASTALoader(max_length=8).load(write(f">a\nMKV\n{record}\n>c\nMKVMKVMK*\n"))
    assert dataset.ids.tolist() == ["a", "c"]
    (failure,) = report
    assert (failure.row, failure.status) == (1, status)
    assert failure.message.startswith(reason)


def test_a_sequence_above_the_limit_is_not_held(write):
    file = write(">a\n" + "ACGT\n" * 2_000_000 + ">b\nAC\n")
    dataset, report = FASTALoader().load(file)
    assert dataset.ids.tolist() == ["b"]
    assert "8000000 letters" in report[0].message
    assert len(report[0].input) <= 1000


@pytest.mark.parametrize("content", ["MKV\n", "<html>\n<body>\n"])
def test_what_is_not_fasta_is_a_typed_error(write, content):
    with pytest.raises(LoaderError, match="line 1 does not begin with '>'"):
        FASTALoader().load(write(content))


def molecule(smiles, name="", flat=False, **properties):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    if flat:
        AllChem.Compute2DCoords(mol)
    else:
        AllChem.EmbedMolecule(mol, randomSeed=7)
    mol.SetProp("_Name", name)
    block = Chem.MolToMolBlock(mol)
    return block + "".join(f">  <{k}>\n{v}\n\n" for k, v in properties.items()) + "$$$$\n"


def test_an_sd_file_gives_smiles_properties_and_titles(write):
    file = write(
        molecule("OCC", "ethanol", logS=1.1, note="a b")
        + molecule("N[C@@H](C)C(=O)O", logS="> 3", note="L-alanine")
    )
    dataset, report = SDFLoader(tasks="logS").load(file)
    assert dataset.X.tolist() == ["CCO", "C[C@H](N)C(=O)O"]
    assert dataset.ids.tolist() == ["ethanol", "C[C@H](N)C(=O)O"]
    np.testing.assert_array_equal(dataset.y, [[1.1], [np.nan]])
    assert [(f.row, f.status, f.task) for f in report] == [(1, "censored", "logS")]
    assert SDFLoader(id="note").load(file).dataset.ids.tolist() == ["a b", "L-alanine"]


@pytest.mark.parametrize("flat", [True, False], ids=["2D", "3D"])
def test_coordinates_are_those_of_the_file_in_its_order(write, flat):
    file = write(molecule("CO", flat=flat) + molecule("CC#N", flat=flat))
    dataset, _ = SDFLoader(coordinates=True).load(file)
    assert dataset.columns == ("smiles", "coordinates", "elements")
    assert dataset.X["smiles"].tolist() == SDFLoader().load(file).dataset.X.tolist()
    blocks = list(Chem.SDMolSupplier(str(file), removeHs=False))
    for i, mol in enumerate(blocks):
        expected = mol.GetConformer().GetPositions().astype(np.float32)
        np.testing.assert_array_equal(dataset.X["coordinates"][i], expected)
        elements = [atom.GetAtomicNum() for atom in mol.GetAtoms()]
        assert dataset.X["elements"][i].tolist() == elements
    assert np.ptp(dataset.X["coordinates"].values[:, 2]) == 0 if flat else True


def test_the_mol_block_may_be_the_input(write):
    file = write(molecule("CO", "methanol", y=1))
    dataset, _ = SDFLoader(inputs="block").load(file)
    assert Chem.MolToSmiles(Chem.MolFromMolBlock(dataset.X[0])) == "CO"
    assert ">  <y>" not in dataset.X[0]


UNKNOWN_ELEMENT = "Element 'Zz' not found" if HAS_REASONS else "this is not a mol block"

BAD = [
    ("junk\n$$$$\n", "parse", "record 2: "),
    ("\n$$$$\n", "parse", "record 2: "),
    (molecule("CCO").replace(" C ", " Zz"), "parse", f"record 2: {UNKNOWN_ELEMENT}"),
    (molecule("C").replace(" C ", " F "), "sanitize", "record 2: Explicit valence for atom # 0 F"),
    (molecule("CCO")[:200] + "\n$$$$\n", "parse", "record 2: "),
    (molecule("C" * 20), "size", "record 2: the molecule has 62 atoms; the limit is max_atoms=50"),
    (
        "x\n\n\n  0  0  0  0  0  0  0  0  0  0999 V2000\nM  END\n$$$$\n",
        "parse",
        "record 2: the mol",
    ),
]


@pytest.mark.parametrize(("record", "status", "reason"), BAD, ids=range(len(BAD)))
def test_a_bad_record_fails_alone(write, record, status, reason):
    file = write(molecule("CO", "a") + record + molecule("CC", "c"))
    for loader in (SDFLoader(max_atoms=50), SDFLoader(max_atoms=50, coordinates=True)):
        dataset, report = loader.load(file)
        assert dataset.ids.tolist() == ["a", "c"]
        ((row, found, message),) = reasons(report)
        assert (row, found) == (1, status)
        assert message.startswith(reason)


def test_an_sd_file_in_another_encoding_is_told(write):
    file = write(molecule("CO", "Méthanol", note="é").encode("latin-1") + molecule("C").encode())
    dataset, report = SDFLoader().load(file)
    assert (len(dataset), report[0].message) == (
        1,
        "record 1: this is not text in utf-8: invalid continuation byte",
    )
    dataset, report = SDFLoader(encoding="latin-1").load(file)
    assert (dataset.ids[0], len(report)) == ("Méthanol", 0)


def test_records_are_found_whatever_ends_their_lines_and_the_file(write):
    text = molecule("CO", "a") + molecule("CC", "b")
    for content in (text, text.replace("\n", "\r\n"), text[:-1], text.removesuffix("$$$$\n")):
        assert SDFLoader().load(write(content)).dataset.ids.tolist() == ["a", "b"]


def test_a_property_of_no_record_is_a_typed_error(write):
    with pytest.raises(LoaderError, match="no field 'logS' in any record"):
        SDFLoader(tasks="logS").load(write(molecule("CO", y=1)))
    with pytest.raises(ParameterError, match="must be 'smiles' or 'block'"):
        SDFLoader(inputs="inchi")


@pytest.mark.parametrize("name", ["1iep_ligand.sdf", "1jld_ligand.sdf"])
def test_real_ligands_are_read_as_rdkit_reads_them(real, name):
    path = real(name)
    (expected,) = Chem.SDMolSupplier(str(path), removeHs=False)
    dataset, report = SDFLoader(coordinates=True).load(path)
    assert (len(dataset), len(report)) == (1, 0)
    assert dataset.X["smiles"][0] == Chem.MolToSmiles(Chem.RemoveHs(expected))
    np.testing.assert_allclose(
        dataset.X["coordinates"][0], expected.GetConformer().GetPositions(), atol=1e-4
    )


def test_real_tox21_is_the_same_from_a_frame_parquet_and_json(real, tmp_path):
    path = real("tox21.csv.gz")
    frame = pd.read_csv(path)
    tasks = [name for name in frame.columns if name[:3] in ("NR-", "SR-")]
    expected, _ = CSVLoader(tasks=tasks, id="mol_id").load(path)
    frame.to_parquet(tmp_path / "tox21.parquet", row_group_size=1000)
    same(DataFrameLoader(tasks=tasks, id="mol_id").load(frame).dataset, expected)
    loader = ParquetLoader(tasks=tasks, id="mol_id")
    same(loader.load(tmp_path / "tox21.parquet").dataset, expected)
    json_file = tmp_path / "tox21.jsonl"
    frame.to_json(json_file, orient="records", lines=True)
    same(JSONLinesLoader(tasks=tasks, id="mol_id").load(json_file).dataset, expected)


def test_parquet_reads_only_the_row_groups_and_columns_that_it_needs(tmp_path, monkeypatch):
    table = pa.table({"big": ["x"] * 100, "smiles": ["C"] * 100, "y": list(range(100))})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=10)
    asked = []
    whole = pq.ParquetFile.iter_batches

    def watched(self, size, *, row_groups, columns):
        asked.append((list(row_groups), columns))
        return whole(self, size, row_groups=row_groups, columns=columns)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", watched)
    batches = list(ParquetLoader(tasks="y").batches(tmp_path / "t.parquet", start=75))
    assert batches[0].dataset.y.ravel().tolist() == list(range(75, 100))
    assert asked == [([7, 8, 9], ["smiles", "y"])]


@pytest.mark.parametrize("cut", [4, 100, -5])
def test_a_damaged_parquet_file_is_a_typed_error(tmp_path, cut):
    file = tmp_path / "t.parquet"
    pq.write_table(pa.table({"smiles": ["C"] * 1000}), file)
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(LoaderError, match="is a damaged Parquet file"):
        ParquetLoader().load(file)


def test_parquet_without_pyarrow_names_the_command_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(LoaderError, match=r'pip install "dc-pipeline\[parquet\]"'):
        ParquetLoader().load(tmp_path / "t.parquet")


FRAMES = [pd.DataFrame, pl.DataFrame, pa.table]


@pytest.mark.parametrize("make", FRAMES, ids=["pandas", "polars", "arrow"])
def test_frames_of_any_kind_are_read_with_a_report(make):
    frame = make({"smiles": ["C", None, "CC", "CCC"], "y": [1.0, 2.0, None, float("inf")]})
    dataset, report = DataFrameLoader(tasks="y").load(frame)
    assert dataset.X.tolist() == ["C", "CC", "CCC"]
    np.testing.assert_array_equal(dataset.y.ravel(), [1, np.nan, np.nan])
    assert [(f.row, f.status) for f in report] == [(1, "parse"), (3, "label")]
    with pytest.raises(LoaderError, match=r"DataFrame has no column 'logS'. It has: smiles, y"):
        DataFrameLoader(tasks="logS").load(frame)


def test_other_frames_are_typed_errors():
    with pytest.raises(LoaderError, match="frame is lazy"):
        DataFrameLoader().load(pl.DataFrame({"smiles": ["C"]}).lazy())
    twice = pd.DataFrame([["C", "CC"]], columns=["smiles", "smiles"])
    with pytest.raises(LoaderError, match="columns of one name"):
        DataFrameLoader().load(twice)
    with pytest.raises(LoaderError, match="not a DataFrame"):
        DataFrameLoader().load([1])


def test_missing_values_of_pandas_are_missing():
    frame = pd.DataFrame({"smiles": ["C", pd.NA], "y": pd.array([pd.NA, 1], dtype="Int64")})
    dataset, report = DataFrameLoader(tasks="y").load(frame)
    assert (dataset.X.tolist(), dataset.w.tolist(), len(report)) == (["C"], [[0.0]], 1)


def test_repeated_ids_are_told(write, caplog):
    CSVLoader(id="id").load(write("smiles,id\nC,a\nCC,b\nCCC,a\nC,a\n"))
    assert "2 rows have the id of a row before them" in caplog.text
