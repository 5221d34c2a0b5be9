"""Tuning: what a trial costs besides the fit."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measure import Way
from subject import Subject, Target

from dc_core import Dataset, Estimator, NumpyDataset

TRIALS = 100


class Ridge(Estimator):
    """Ridge regression, fitted in a tenth of a millisecond."""

    fitted = ("coef",)

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha
        self.coef: np.ndarray | None = None

    def fit(self, dataset: Dataset, *, valid: Dataset | None = None) -> Ridge:
        X, y = np.asarray(dataset.X), dataset.y
        self.coef = np.linalg.solve(X.T @ X + self.alpha * np.eye(X.shape[1]), X.T @ y)
        return self

    def predict(self, dataset: Dataset) -> np.ndarray:
        return np.asarray(np.asarray(dataset.X) @ self.coef)


def rows() -> tuple[Dataset, Dataset]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 20))
    y = X @ rng.normal(size=20) + rng.normal(size=200)
    return NumpyDataset(X[:100], y[:100]), NumpyDataset(X[100:], y[100:])


def fresh(folder: Path) -> Path:
    """Return a directory without trials: those that are there would not run again."""
    return Path(tempfile.mkdtemp(dir=folder))


def ours(folder: Path, *, kept: bool, parallel: int) -> Callable[[], Any]:
    """``OptunaTuner.tune``, with the trials kept in a directory or not."""
    from dc_pipeline import RMSE, LogUniform, OptunaTuner

    train, valid = rows()

    def tune(trials: int) -> int:
        OptunaTuner(trials, parallel=parallel).tune(
            Ridge(),
            train,
            RMSE(),
            space={"alpha": LogUniform(1e-3, 1e3)},
            valid=valid,
            directory=fresh(folder) if kept else None,
        )
        return trials

    tune(12)
    return lambda: tune(TRIALS)


def plain(folder: Path, *, journal: bool) -> Callable[[], Any]:
    """``study.optimize`` of the same fits, with the trials in memory or in a journal."""
    import optuna
    from optuna.storages import InMemoryStorage, JournalStorage
    from optuna.storages.journal import JournalFileBackend

    from dc_pipeline import RMSE

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    train, valid = rows()

    def objective(trial: Any) -> float:
        model = Ridge(trial.suggest_float("alpha", 1e-3, 1e3, log=True)).fit(train)
        return model.evaluate(valid, [RMSE()])["rmse"]

    def optimize(trials: int) -> int:
        file = fresh(folder) / "study.log"
        storage = JournalStorage(JournalFileBackend(str(file))) if journal else InMemoryStorage()
        sampler = optuna.samplers.TPESampler(seed=0)
        optuna.create_study(storage=storage, sampler=sampler).optimize(objective, n_trials=trials)
        return trials

    optimize(12)
    return lambda: optimize(TRIALS)


SUBJECTS = (
    Subject(
        title=f"{TRIALS} trials of a ridge regression",
        note="The fit takes a tenth of a millisecond, so that the time is that of proposing and "
        "recording a trial. Every trial of dc-pipeline is a shard that is on the disk before it "
        "counts, in a temporary directory if the trials are not kept. The best is fitted once "
        "more.",
        things="trials",
        repeats=5,
        versions=("optuna",),
        ways=(
            Way("OptunaTuner, 4 a round", ours, {"kept": False, "parallel": 4}),
            Way("OptunaTuner, 1 a round", ours, {"kept": False, "parallel": 1}),
            Way("OptunaTuner, kept, 4 a round", ours, {"kept": True, "parallel": 4}),
            Way("Optuna, in memory", plain, {"journal": False}),
            Way("Optuna, journal", plain, {"journal": True}),
        ),
        targets=(
            Target("wall", "OptunaTuner, 4 a round", "Optuna, in memory"),
            Target("wall", "OptunaTuner, kept, 4 a round", "Optuna, journal"),
        ),
    ),
)
