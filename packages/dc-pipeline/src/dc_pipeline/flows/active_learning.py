"""Active learning: ask an oracle for the labels of the rows from which most is expected."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from dc_core import (
    Dataset,
    Estimator,
    Failure,
    FailureReport,
    NumpyDataset,
    check_count,
    check_dataset,
    check_flag,
    concatenate_rows,
    engines,
    make_table,
    uninterrupted,
)
from dc_core.errors import DatasetError, EmptyDataset, ParameterError
from dc_pipeline.flows.acquisitions import Acquisition, Candidates, Greedy, check_acquisition
from dc_pipeline.flows.learning_rounds import LearningRound, RoundStore
from dc_pipeline.scale.working import identity

logger = logging.getLogger(__name__)

Oracle: TypeAlias = Callable[[Dataset], Any]
"""From the dataset of the rows asked to one label each."""

_BATCH: Final = 4096
"""Rows that are predicted at a time."""


class ActiveLearner:
    """Asks an oracle for the labels of rows of a pool, round by round, a batch at a time.

    Iterating runs the rounds::

        learner = ActiveLearner(model, pool, measure, ExpectedImprovement(), budget=100)
        for round in learner:
            print(round, learner.model.evaluate(test, [RMSE()]))

    The first round asks for random rows, unless labels are given to begin with. Every further one
    fits the model anew to all labels, predicts for the rows that were not asked yet, and asks for
    those that the ``acquisition`` chooses. A loop that was left is continued by the next; with a
    ``directory``, in another process too. Random choices depend on ``seed`` and the number of the
    round alone, so that an interruption changes nothing.

    The pool may be larger than memory: it is predicted by batches of rows, and only means and
    deviations are kept. Rows for which the model makes no prediction are never asked. Every round
    predicts for the whole pool, so featurize a large one first (:func:`dc_pipeline.featurize`).

    Args:
        model: Any estimator; it stays as it is. Acquisitions by more than the mean need one that
            predicts deviations, such as an :class:`Ensemble`, or a pipeline around one.
        pool: The rows to choose from. Labels that it may have are not looked at.
        oracle: Called with the dataset of the rows asked, returns a label for each, in order: an
            array ``(k,)`` or ``(k, tasks)``, or a list, also of the results of
            :func:`dc_core.engines.map`. A row fails if its label is NaN, None, infinite, an
            exception, or a result that is not ok: the reason is kept, and the row is not asked
            again. An exception that the oracle raises ends the loop, and the round can be repeated.
        acquisition: The rule by which rows are chosen, such as :class:`UCB`; :class:`Greedy` by
            default.
        batch_size: How many rows to ask in a round.
        budget: How many rows to ask in all, those that fail included.
        initial: How many random rows to ask first, or a dataset with labels to begin with.
        tasks: The names of the labels: by default those of ``initial`` or of the pool, if any.
        objective: The task that the acquisition is about. It may be left out if there is only one.
        maximize: Whether the highest label is the best, or the lowest.
        seed: The seed of the random choices.
        directory: Where the rounds are kept. A learner with the same arguments continues them; the
            budget may be another, and the oracle is not compared.

    Raises :class:`ParameterError` for arguments that cannot be used, :class:`EmptyDataset` for an
    empty pool, and :class:`RunMismatch` if the directory has something else.
    """

    def __init__(
        self,
        model: Estimator,
        pool: Dataset,
        oracle: Oracle,
        acquisition: Acquisition | None = None,
        *,
        batch_size: int = 10,
        budget: int = 100,
        initial: int | Dataset = 10,
        tasks: Sequence[str] | None = None,
        objective: str | None = None,
        maximize: bool = True,
        seed: int = 0,
        directory: str | Path | None = None,
    ) -> None:
        if not isinstance(model, Estimator):
            raise ParameterError(f"model must be an estimator, not a {type(model).__name__}.")
        check_dataset(pool)
        if len(pool) == 0:
            raise EmptyDataset("There is no row to choose from.")
        if not callable(oracle):
            raise ParameterError(
                f"oracle must be callable, not a {type(oracle).__name__}.",
                hint="For labels that the pool has, give lambda rows: rows.y.",
            )
        self.pool = pool
        self.oracle = oracle
        self.acquisition = check_acquisition(Greedy() if acquisition is None else acquisition)
        self.batch_size = check_count("batch_size", batch_size, minimum=1)
        self.budget = check_count("budget", budget, minimum=1)
        self.maximize = check_flag("maximize", maximize)
        self.seed = check_count("seed", seed, minimum=0)
        self._known = initial if isinstance(initial, Dataset) else None
        self._initial = 0
        if self._known is None:
            self._initial = check_count("initial", initial, minimum=1)
        self.tasks = self._tasks(tasks)
        self._target = self._index_of(objective)
        self._template = model.unfitted()
        self._fitted: tuple[int, Estimator] | None = None
        self._rounds: list[LearningRound] = []
        self._free = np.ones(len(pool), bool)
        self._store: RoundStore | None = None
        if directory is not None:
            self._store = RoundStore(Path(directory), self._origin())
            for made in self._store.read(len(pool), len(self.tasks)):
                self._add(made)

    @property
    def rounds(self) -> tuple[LearningRound, ...]:
        """The rounds so far."""
        return tuple(self._rounds)

    @property
    def asked(self) -> np.ndarray:
        """The row numbers of the pool that were asked, in order."""
        return np.concatenate([np.zeros(0, np.intp), *(made.rows for made in self._rounds)])

    @property
    def failures(self) -> FailureReport:
        """The rows for which the oracle failed."""
        return FailureReport(tuple(f for made in self._rounds for f in made.failures))

    @property
    def labelled(self) -> Dataset:
        """The rows with labels so far: those given to begin with, and those asked, in order."""
        labels = self._labels()
        ok = ~np.isnan(labels).all(axis=1)
        rows = self.asked[ok]
        if self._known is not None and not len(rows):
            return self._known
        batch = self.pool.rows(rows, ("X", "ids"))
        if self._known is None:
            classes = self.pool.classes if self.tasks == self.pool.tasks else None
            return NumpyDataset(batch.X, labels[ok], None, batch.ids, self.tasks, classes)
        known = self._known
        return NumpyDataset(
            concatenate_rows([known.X, batch.X]),
            np.concatenate([known.y, labels[ok]]),
            np.concatenate([known.w, ~np.isnan(labels[ok])]),
            np.concatenate([known.ids, batch.ids]),
            self.tasks,
            known.classes,
        )

    @property
    def best(self) -> float:
        """The best label so far, NaN if there is none."""
        labels = self._labels()[:, self._target]
        if self._known is not None:
            y, w = (part[:, self._target] for part in (self._known.y, self._known.w))
            labels = np.concatenate([y[w > 0], labels])
        labels = labels[~np.isnan(labels)]
        if not len(labels):
            return math.nan
        return float(labels.max() if self.maximize else labels.min())

    @property
    def model(self) -> Estimator:
        """The model, fitted to all labels so far.

        Raises :class:`EmptyDataset` if there are none, and what its ``fit`` raises.
        """
        number = len(self._rounds)
        if self._fitted is None or self._fitted[0] != number:
            labelled = self.labelled
            if len(labelled) == 0:
                raise EmptyDataset("There is no label to fit to.")
            self._fitted = number, self._template.unfitted().fit(labelled)
        return self._fitted[1]

    def __iter__(self) -> Iterator[LearningRound]:
        """Run the rounds that remain, and yield each when its labels are known."""
        while (made := self.step()) is not None:
            yield made

    def step(self) -> LearningRound | None:
        """Run one round and return it; None if the budget is used up or no row is left."""
        number = len(self._rounds)
        wanted = self._initial if number == 0 and self._known is None else self.batch_size
        wanted = min(wanted, self.budget - len(self.asked))
        if wanted <= 0 or not self._free.any():
            return None
        rng = np.random.default_rng([self.seed, number])
        rows, mean, std = self._choose(wanted, rng)
        if not len(rows):
            return None
        labels, failures = self._ask(rows)
        made = LearningRound(number, rows, labels, mean, std, math.nan, failures)
        with uninterrupted():
            if self._store is not None:
                self._store.append(made)
            self._add(made)
        logger.info("%s", self._rounds[-1])
        return self._rounds[-1]

    def to_dataframe(self, backend: str | None = None) -> Any:
        """Return a DataFrame of the rows asked, in order.

        The columns are ``round``, ``row``, ``id``, one per task, ``mean`` and ``std`` (what the
        model predicted before), ``status`` and ``message``. ``backend`` is as in
        :meth:`dc_core.Dataset.to_dataframe`.
        """
        rounds = self._rounds
        rows = self.asked
        failed = {failure.row: failure for failure in self.failures}
        labels = self._labels()
        columns: dict[str, Any] = {
            "round": [made.number for made in rounds for _ in made.rows],
            "row": rows.tolist(),
            "id": self.pool.rows(rows, ("ids",)).ids.tolist(),
        }
        columns |= {task: labels[:, t].tolist() for t, task in enumerate(self.tasks)}
        columns["mean"] = [value for made in rounds for value in made.mean.tolist()]
        columns["std"] = [value for made in rounds for value in made.std.tolist()]
        found = [failed.get(row) for row in rows.tolist()]
        columns["status"] = ["ok" if f is None else f.status for f in found]
        columns["message"] = ["" if f is None else f.message for f in found]
        return make_table(columns, backend)

    def __repr__(self) -> str:
        """Show the acquisition, how many rows were asked, and the best label."""
        asked = f"{len(self.asked)} of {len(self.pool)} rows asked, budget {self.budget}"
        return f"ActiveLearner({self.acquisition!r}: {asked}, best {self.best:.4g})"

    def _labels(self) -> np.ndarray:
        """Return the labels of all rows asked, ``(n, tasks)``."""
        nothing = np.zeros((0, len(self.tasks)))
        return np.concatenate([nothing, *(made.labels for made in self._rounds)])

    def _choose(
        self, k: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the row numbers to ask, with their predicted means and deviations."""
        numbers = np.flatnonzero(self._free)
        best = self.best
        if math.isnan(best):
            rows = rng.choice(numbers, min(k, len(numbers)), replace=False)
            return rows, np.full(len(rows), np.nan), np.full(len(rows), np.nan)
        mean, std = np.zeros(len(numbers)), np.zeros(len(numbers))
        if self.acquisition.needs_prediction:
            mean, std = self._predict(numbers)
            known = np.isfinite(mean) & np.isfinite(std)
            numbers, mean, std = numbers[known], mean[known], std[known]
        if not len(numbers):
            return numbers, mean, std
        sign = 1 if self.maximize else -1
        candidates = Candidates(self.pool, numbers, self.labelled, sign * best, sign * mean, std)
        chosen = self._checked(self.acquisition.choose(candidates, k, rng), len(candidates), k)
        nothing = np.full(len(chosen), np.nan)
        return (
            numbers[chosen],
            mean[chosen] if self.acquisition.needs_prediction else nothing,
            std[chosen] if self.acquisition.needs_deviation else nothing,
        )

    def _checked(self, chosen: Any, n: int, k: int) -> np.ndarray:
        """Return the positions that the acquisition chose if they are at most ``k`` of ``n``."""
        found = np.asarray(chosen, np.intp if len(chosen) == 0 else None)
        integers = found.ndim == 1 and found.dtype.kind in "iu"
        if not integers or not len(set(found.tolist()).intersection(range(n))) == len(found) <= k:
            raise DatasetError(
                f"{self.acquisition!r} chose {chosen!r} of {n} candidates.",
                hint=f"It must return at most {k} different positions below {n}.",
            )
        return found

    def _predict(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and deviation of the objective for rows of the pool, each ``(n,)``."""
        model, t = self.model, self._target
        mean, std = np.empty(len(numbers)), np.zeros(len(numbers))
        for start in range(0, len(numbers), _BATCH):
            block = slice(start, start + _BATCH)
            rows = self.pool.select(numbers[block])
            if model.predicts_classes:
                mean[block], std[block] = self._probability(model.predict(rows))
            elif self.acquisition.needs_deviation:
                found = model.predict_distribution(rows)
                mean[block], std[block] = found.mean[:, t], found.std[:, t]
            else:
                mean[block] = model.predict(rows)[:, t]
        return mean, std

    def _probability(self, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the probability of class 1 and its deviation, that of a Bernoulli variable."""
        if prediction.shape[2:] != (2,) or not self.acquisition.takes_probabilities:
            raise DatasetError(
                f"{self.acquisition!r} cannot choose by probabilities of shape {prediction.shape}.",
                hint="With two classes use Greedy or UncertaintySampling, and else a regressor.",
            )
        p = prediction[:, self._target, 1].astype(np.float64)
        return p, np.sqrt(p * (1 - p))

    def _ask(self, rows: np.ndarray) -> tuple[np.ndarray, FailureReport]:
        """Return the oracle's labels of the rows, ``(k, tasks)``, and a report on the others."""
        asked = self.pool.select(rows)
        answers = self.oracle(asked)
        if not isinstance(answers, list | tuple):
            answers = np.atleast_1d(np.asarray(answers))
        if len(answers) != len(rows):
            raise DatasetError(
                f"The oracle was asked for {len(rows)} labels, and returned {len(answers)}.",
                hint="Return one for each row, NaN for those that fail.",
            )
        labels = np.full((len(rows), len(self.tasks)), np.nan)
        failures = []
        for i, (row, answer) in enumerate(zip(rows.tolist(), answers, strict=True)):
            status, message = self._read(answer, labels[i])
            if status != "ok":
                failures.append(Failure(row, _text(asked, i), status, message))
        return labels, FailureReport(tuple(failures))

    def _read(self, answer: Any, label: np.ndarray) -> tuple[str, str]:
        """Put an answer into ``label``, ``(tasks,)``; return a status with its message."""
        if isinstance(answer, engines.Result):
            if answer.status != "ok":
                return "label" if answer.status == "error" else answer.status, answer.message
            answer = answer.value
        if isinstance(answer, BaseException):
            return "label", f"{type(answer).__name__}: {answer}"
        if answer is None:
            return "label", "The oracle gave no label."
        try:
            values = np.asarray(answer, np.float64).reshape(-1)
        except (TypeError, ValueError) as error:
            raise DatasetError(f"The oracle returned {answer!r}, which is no number.") from error
        if values.shape != label.shape:
            raise DatasetError(
                f"The oracle returned {len(values)} labels for a row of {len(label)} tasks.",
                hint="Give their names: tasks=[...].",
            )
        label[:] = np.where(np.isfinite(values), values, np.nan)
        if np.isnan(label).all():
            return "label", f"The label is {values[0]}."
        return "ok", ""

    def _add(self, made: LearningRound) -> None:
        """Append a round, with the best label after it."""
        self._free[made.rows] = False
        self._rounds.append(made)
        self._rounds[-1] = replace(made, best=self.best)

    def _tasks(self, tasks: Sequence[str] | None) -> tuple[str, ...]:
        """Return the names of the labels."""
        names = (tasks,) if isinstance(tasks, str) else tasks
        if self._known is not None:
            if len(self._known) == 0 or not self._known.tasks:
                raise EmptyDataset("There are no labels to begin with.", hint="Give their number.")
            if names is not None and tuple(names) != self._known.tasks:
                raise ParameterError(f"The labels given are of {self._known.tasks}, not {tasks}.")
            return self._known.tasks
        if names is None:
            return self.pool.tasks or ("task0",)
        if not names or len({*names}) < len(names) or not all(isinstance(n, str) for n in names):
            raise ParameterError(f"tasks={tasks!r} are not different names.")
        return tuple(names)

    def _index_of(self, objective: str | None) -> int:
        if objective is None and len(self.tasks) == 1:
            return 0
        if objective not in self.tasks:
            raise ParameterError(
                f"objective={objective!r} is none of the tasks.",
                hint=f"They are: {', '.join(self.tasks)}.",
            )
        return self.tasks.index(objective)

    def _origin(self) -> dict[str, str]:
        """Return digests of all that the rounds depend on, except the oracle."""
        known = None if self._known is None else identity(self._known)
        told = [self.batch_size, self._initial, self.maximize, self.seed, self.tasks, self._target]
        return {
            "model": engines.digest(self._template),
            "pool": identity(self.pool),
            "acquisition": engines.digest(self.acquisition),
            "arguments": engines.digest([*told, known]),
        }


def _text(rows: Dataset, i: int) -> str:
    """Return the input of a row if it is text, and else its id."""
    batch = rows.rows(np.array([i]), ("X", "ids"))
    text = isinstance(batch.X, np.ndarray) and batch.X.dtype.kind == "T" and batch.X.ndim == 1
    return str((batch.X if text else batch.ids)[0])  # type: ignore[index]
