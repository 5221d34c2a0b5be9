"""What all loaders have in common: one status for each row, in batches of any size."""

import json
from itertools import chain

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from dc_core import Ragged
from dc_core.errors import FeaturizationError, LoaderError, ParameterError
from dc_pipeline import (
    ECFP,
    CSVLoader,
    DataFrameLoader,
    FASTALoader,
    ImageLoader,
    JSONLinesLoader,
    ParquetLoader,
    SDFLoader,
    SMILESLoader,
    StructureLoader,
    store,
    stored_failures,
)


def plain(column):
    return [row.tolist() for row in column] if isinstance(column, Ragged) else column.tolist()


def content(dataset):
    """Return what a dataset holds, in a form that compares by value, NaN included."""
    X = dataset.X if isinstance(dataset.X, dict) else {"": dataset.X}
    values = {name: (str(column.dtype), plain(column)) for name, column in X.items()}
    rest = [plain(part) for part in (dataset.y, dataset.w, dataset.ids)]
    return [values, *rest, dataset.tasks, dict(dataset.classes)]


def joined(lists):
    return list(chain.from_iterable(lists))


def csv(folder):
    rows = [f"{'C' * (i % 5 + 1)},{i},{'ab'[i % 2]},m{i}" for i in range(23)]
    rows[3], rows[4], rows[11] = "C1CC,1,a,m3", "C,1", "CC,>5,a,m11"
    (folder / "table.csv").write_text("\n".join(["smiles,y,kind,id", *rows]))
    loader = CSVLoader(
        tasks=["y", "kind"], id="id", classes="kind", featurizer=ECFP(size=16, counts=True)
    )
    return loader, folder / "table.csv", 23


def json_lines(folder):
    rows = [{"smiles": "C" * (i % 5 + 1), "y": i, "kind": "ab"[i % 2]} for i in range(23)]
    rows[7] = {"smiles": "CO", "kind": None, "y": ">5"}
    lines = [json.dumps(row) for row in rows]
    lines[3], lines[4], lines[9] = "{", "[1]", '{"y": 3}'
    (folder / "table.jsonl").write_text("\n\n".join(lines))
    loader = JSONLinesLoader(
        tasks=["y", "kind"], classes={"kind": ["b", "a"]}, featurizer=ECFP(size=16)
    )
    return loader, folder / "table.jsonl", 23


def smiles(folder):
    rows = ["C" * (i % 5 + 1) + (f"\tname {i}" if i % 3 else "") for i in range(17)]
    rows[5] = "C1CC bad"
    (folder / "file.smi").write_text("smiles id\n" + "\n".join(rows) + "\n")
    return SMILESLoader(ECFP(size=16), header=True), folder / "file.smi", 17


def fasta(folder):
    rows = [f">p{i} a protein\n{'MKV' * (i + 1)}\n{'acd' * i}*\n" for i in range(12)]
    rows[4], rows[7], rows[11] = ">p4\n\n", ">p7\nMK7\n", f">p11\n{'M' * 300}\n"
    (folder / "file.fasta").write_text("".join(rows))
    return FASTALoader(max_length=200), folder / "file.fasta", 12


def sdf(folder):
    records = []
    for i in range(9):
        molecule = Chem.AddHs(Chem.MolFromSmiles("C" * (i % 3 + 1) + "O"))
        AllChem.EmbedMolecule(molecule, randomSeed=1)
        records.append(f"m{i}\n{Chem.MolToMolBlock(molecule).partition(chr(10))[2]}")
        records[-1] += f">  <y>  (1)\n{i}\n\n"
    records[2], records[5] = "m2\njunk\n", records[5].replace("  5.0", "  5.x")
    records[6] = records[6].replace(">  <y>  (1)\n6", ">  <y>  (1)\n>6")
    records[5] = records[5].replace(" C  ", " Zz ")
    (folder / "file.sdf").write_text("".join(f"{record}$$$$\n" for record in records))
    return SDFLoader(tasks="y", coordinates=True), folder / "file.sdf", 9


def frame(folder):
    rows = ["C" * (i % 5 + 1) for i in range(23)]
    rows[3] = None
    y = [*map(str, range(22)), "> 5"]
    return DataFrameLoader(tasks="y"), pd.DataFrame({"smiles": rows, "y": y}), 23


def parquet(folder):
    rows = [f"{'C' * (i % 5 + 1)}" for i in range(23)]
    rows[3] = ""
    y = [float("inf"), None, *map(float, range(21))]
    table = pa.table({"other": [[1]] * 23, "smiles": rows, "y": y})
    pq.write_table(table, folder / "table.parquet", row_group_size=5)
    return ParquetLoader(tasks="y", featurizer=ECFP(size=16)), folder / "table.parquet", 23


def structures(folder):
    pytest.importorskip("gemmi", reason="structures are read by gemmi")
    atom = "ATOM  {:5d}  CA  ALA A{:4d}    {:8.3f}{:8.3f}{:8.3f}  1.00  0.00           C\n"
    files = []
    for i in range(6):
        atoms = "".join(atom.format(j, j, j, i, 0) for j in range(1, i + 2))
        models = [f"MODEL     {m:4d}\n{atoms}ENDMDL\n" for m in range(1, 3 if i == 4 else 2)]
        files.append(folder / f"p{i}.pdb")
        files[-1].write_text("".join(models) + "END\n")
    files[1].write_text("junk")
    files[2] = folder / "nowhere.pdb"
    return StructureLoader(), files, 7


def images(folder):
    image = pytest.importorskip("PIL.Image", reason="images are read by Pillow")
    files = []
    for i in range(7):
        files.append(folder / f"{i}.png")
        image.fromarray(np.full((4, 5 + (i == 3), 3), i, np.uint8)).save(files[-1])
    files[5].write_bytes(files[5].read_bytes()[:60])
    return ImageLoader(4, 5), files, 7


LOADERS = [csv, json_lines, smiles, fasta, sdf, frame, parquet, structures, images]

every_loader = pytest.mark.parametrize("make", LOADERS, ids=lambda make: make.__name__)


@every_loader
def test_every_row_is_in_the_dataset_or_in_the_report(make, tmp_path):
    loader, source, n = make(tmp_path)
    dataset, report = loader.load(source)
    assert 0 < len(dataset) < n
    whole = [failure.row for failure in report if not failure.task]
    assert len(set(whole)) == len(whole)
    assert len(dataset) + len(whole) == n


@every_loader
def test_the_batches_of_any_size_are_together_what_load_returns(make, tmp_path):
    loader, source, n = make(tmp_path)
    dataset, report = loader.load(source)
    expected = content(dataset)
    for size in (1, 4, n - 1, n, n + 1):
        batches = list(loader.batches(source, size=size))
        assert len(batches) == -(-n // size)
        parts = [content(part) for part, _ in batches]
        for name, (dtype, rows) in expected[0].items():
            assert {part[0][name][0] for part in parts} == {dtype}
            assert repr(joined(part[0][name][1] for part in parts)) == repr(rows)
        for k in (1, 2, 3):
            assert repr(joined(part[k] for part in parts)) == repr(expected[k])
        assert all(part[4:] == expected[4:] for part in parts)
        assert joined(failures for _, failures in batches) == list(report)


@every_loader
def test_batches_may_start_at_any_row(make, tmp_path):
    loader, source, n = make(tmp_path)
    whole = list(loader.batches(source, size=1))
    for start in range(n + 2):
        batches = list(loader.batches(source, size=4, start=start))
        expected = joined(content(dataset)[3] for dataset, _ in whole[start:])
        assert joined(content(dataset)[3] for dataset, _ in batches) == expected
        failures = [failure for _, report in batches for failure in report]
        assert failures == [failure for _, report in whole[start:] for failure in report]
        assert len(batches) == max(1, -(-(n - start) // 4))


@every_loader
def test_strict_raises_at_the_first_failure(make, tmp_path):
    loader, source, _ = make(tmp_path)
    first = loader.load(source).failures[0]
    with pytest.raises(FeaturizationError, match=f"row {first.row} "):
        loader.load(source, strict=True)


@every_loader
def test_counts_are_logged(make, tmp_path, caplog):
    loader, source, _ = make(tmp_path)
    dataset, report = loader.load(source)
    assert f"{len(dataset)} rows loaded, {len(report)} failed" in caplog.text


@every_loader
def test_batches_of_no_size_and_rows_before_the_first_are_typed_errors(make, tmp_path):
    loader, source, _ = make(tmp_path)
    for options in ({"size": 0}, {"start": -1}, {"size": "3"}):
        with pytest.raises(ParameterError):
            next(loader.batches(source, **options))


@every_loader
@pytest.mark.parametrize("missing", [None, 3, b"C"], ids=str)
def test_what_is_not_a_source_is_a_typed_error(make, tmp_path, missing):
    loader, _, _ = make(tmp_path)
    with pytest.raises(LoaderError):
        loader.load(missing)
    reason = "not a DataFrame" if make is frame else "cannot be read"
    with pytest.raises(LoaderError, match=reason):
        loader.load(tmp_path / "nowhere")


@every_loader
def test_an_empty_source_is_a_typed_error_or_an_empty_dataset(make, tmp_path):
    loader, source, _ = make(tmp_path)
    if isinstance(source, list):
        with pytest.raises(LoaderError, match="list of files is empty"):
            loader.load([])
    if make is frame:
        assert len(loader.load(source[:0]).dataset) == 0
        return
    file = source[0] if isinstance(source, list) else source
    for content in (b"", b"\n \n"):
        file.write_bytes(content)
        if isinstance(source, list):
            assert loader.load([file]).failures[0].row == 0
            continue
        with pytest.raises(LoaderError, match=r"is empty|damaged"):
            loader.load(source)


@every_loader
def test_any_loader_can_be_stored(make, tmp_path):
    loader, source, n = make(tmp_path)
    stored = store(loader, source, tmp_path / "data", size=4)
    dataset, report = loader.load(source)
    assert repr(content(stored)) == repr(content(dataset))
    assert list(stored_failures(tmp_path / "data")) == list(report)
    assert stored.provenance["source_rows"] == n
