"""A CSV file of molecules: read into a dataset, its text and labels as arrays, rows checked."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure import Way
from subject import Subject, Target

from subjects import ecfp

ROWS = 200_000


def prepare(folder: Path, *, quick: bool) -> Callable[[], Any]:
    """Write tables of random rows: SMILES and one label; names besides; twelve tasks.

    The SMILES are those of the subject ``ecfp``. Of the twelve tasks, as in Tox21, most labels
    are 0 or 1, and a fifth is missing. Two more tables have quotes around every field, and three
    columns of long decimals.
    """
    write_smiles = ecfp.prepare(folder, quick=quick)

    def write() -> None:
        write_smiles()
        smiles = json.loads((folder / "smiles.json").read_text())
        chance = random.Random(0)
        n = ROWS // 20 if quick else ROWS
        with (
            (folder / "one.csv").open("w") as one,
            (folder / "named.csv").open("w") as named,
            (folder / "tasks.csv").open("w") as tasks,
            (folder / "quoted.csv").open("w") as quoted,
            (folder / "decimals.csv").open("w") as decimals,
        ):
            one.write("smiles,y\n")
            named.write("name,smiles,y\n")
            tasks.write(",".join(["smiles", *(f"t{i}" for i in range(12))]) + "\n")
            quoted.write('"smiles","y"\n')
            decimals.write("smiles,a,b,c\n")
            for i in range(n):
                text = chance.choice(smiles)
                label = f"{chance.gauss(0, 3):.3f}"
                one.write(f"{text},{label}\n")
                named.write(f"mol{i},{text},{label}\n")
                classes = ",".join(chance.choices(["0", "1", ""], [7, 1, 2], k=12))
                tasks.write(f"{text},{classes}\n")
                quoted.write(f'"{text}","{label}"\n')
                a, b, c = chance.gauss(0, 3), chance.gauss(0, 300), chance.gauss(0, 1)
                decimals.write(f"{text},{a:.6f},{b:.4f},{c:.8f}\n")

    return write


def loader(folder: Path, *, file: str) -> Callable[[], int]:
    """dc-pipeline's loader."""
    from dc_pipeline import CSVLoader

    several = {"tasks.csv": [f"t{i}" for i in range(12)], "decimals.csv": ["a", "b", "c"]}
    tasks = several.get(file, ["y"])
    reader = CSVLoader("smiles", tasks, id="name" if file == "named.csv" else None)
    return _warm(lambda path: reader.load(path).dataset, folder, file)


def pandas_frame(folder: Path, *, file: str) -> Callable[[], int]:
    """pandas alone: columns of its own types, nothing checked."""
    import pandas as pd

    return _warm(pd.read_csv, folder, file)


def pandas_dataset(folder: Path, *, file: str) -> Callable[[], int]:
    """The same dataset by way of pandas."""
    import pandas as pd

    from dc_core import NumpyDataset

    def read(path: Path) -> Any:
        frame = pd.read_csv(path)
        labels = [name for name in frame.columns if name not in ("name", "smiles")]
        ids = "name" if "name" in frame.columns else "smiles"
        return NumpyDataset.from_dataframe(frame, X="smiles", y=labels, ids=ids)

    return _warm(read, folder, file)


def _warm(read: Callable[[Path], Any], folder: Path, file: str) -> Callable[[], int]:
    """Read a small file first; return the action that reads the whole one and counts its rows."""
    lines = (folder / file).read_text().splitlines()[:50]
    small = folder / f"small-{file}"
    small.write_text("\n".join(lines))
    read(small)
    return lambda: len(read(folder / file))


def _subject(title: str, file: str, note: str) -> Subject:
    options = {"file": file}
    return Subject(
        title=title,
        note=note,
        prepare=prepare,
        memory=True,
        unit="ms",
        things="rows",
        versions=("numpy", "pandas"),
        ways=(
            Way("dc-pipeline CSVLoader", loader, options),
            Way("pandas.read_csv", pandas_frame, options),
            Way("pandas.read_csv, to a dataset", pandas_dataset, options),
        ),
        targets=(
            Target("cpu", "dc-pipeline CSVLoader", "pandas.read_csv", at_most=3),
            Target("anonymous", "dc-pipeline CSVLoader", "pandas.read_csv", at_most=2),
            Target("cpu", "dc-pipeline CSVLoader", "pandas.read_csv, to a dataset"),
        ),
    )


SUBJECTS = (
    _subject(
        "Reading a CSV file of 200 000 molecules",
        "one.csv",
        "SMILES and one label. pandas checks nothing and leaves the text in Arrow's layout; a "
        "dataset has it as a NumPy array of strings.",
    ),
    _subject(
        "Reading names too",
        "named.csv",
        "The same rows with a column of names, which become the ids.",
    ),
    _subject(
        "Reading twelve tasks",
        "tasks.csv",
        "SMILES and twelve columns of classes, a fifth of them missing.",
    ),
    _subject(
        "Reading fields in quotes",
        "quoted.csv",
        "SMILES and one label, each in quotes.",
    ),
    _subject(
        "Reading three measurements",
        "decimals.csv",
        "SMILES and three columns of decimals with four to eight places.",
    ),
)
