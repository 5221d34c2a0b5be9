"""The six roles that a model can have: what each is asked to do, not how."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

from dc_core.dataset import check_dataset
from dc_core.errors import EmptyDataset
from dc_core.fitting import FitsDataset
from dc_core.metric import Metric, score_all
from dc_core.model import Model

if TYPE_CHECKING:
    import numpy as np

    from dc_core.dataset import Dataset


class Estimator(FitsDataset, Model, ABC):
    """A model that learns y from X.

    Predictions have one row per row of the dataset: shape ``(n, tasks)`` for regression,
    ``(n, tasks, classes)`` of probabilities for classification.
    """

    @abstractmethod
    def fit(self, dataset: Dataset, *, valid: Dataset | None = None) -> Self:
        """Learn from ``dataset`` and return the model itself.

        ``valid`` is held out, to choose when to stop and what to keep; models that have no such
        choice ignore it. Backends add options by keyword.

        Whether a second ``fit`` starts afresh or continues is the framework's custom:
        scikit-learn's estimators start afresh, networks train on from their present weights.
        ``unfitted().fit(dataset)`` always starts afresh.

        Raises :class:`DatasetError` for anything but one dataset, like ``fit(X, y)``.
        """

    @abstractmethod
    def predict(self, dataset: Dataset) -> np.ndarray:
        """Return the predictions for ``dataset`` (or an array of its X); records no gradients.

        Raises :class:`EmptyDataset` if there are no rows.
        """

    def evaluate(self, dataset: Dataset, metrics: Iterable[Metric]) -> dict[str, float]:
        """Return each metric's value on ``dataset``, averaged over the tasks, by the metric's name.

        With several tasks there is also ``<metric>/<task>`` for each. Labels of weight 0 are left
        out.

        Raises :class:`EmptyDataset` if there is no row, and :class:`ParameterError` if ``metrics``
        is not a sequence of metrics.
        """
        check_dataset(dataset)
        if len(dataset) == 0:
            raise EmptyDataset("The dataset has no rows to evaluate on.")
        prediction = self.predict(dataset)
        return score_all(metrics, dataset.y, prediction, dataset.w, dataset.tasks)


class UnsupervisedLearner(FitsDataset, Model, ABC):
    """A model that learns representations from X alone: pretraining, language models."""

    @abstractmethod
    def fit(self, dataset: Dataset) -> Self:
        """Learn from ``dataset`` and return the model itself."""

    @abstractmethod
    def embed(self, dataset: Dataset) -> np.ndarray:
        """Return one embedding per row: ``(n, ...)``."""


class Generator(FitsDataset, Model, ABC):
    """A model that generates new rows."""

    @abstractmethod
    def fit(self, dataset: Dataset) -> Self:
        """Learn from ``dataset`` and return the model itself."""

    @abstractmethod
    def sample(self, n: int, seed: int) -> Dataset:
        """Return ``n`` new rows; equal seeds give equal rows."""


class StructuredOutputLearner(FitsDataset, Model, ABC):
    """A model whose outputs are structures: sequences, graphs, poses."""

    @abstractmethod
    def fit(self, dataset: Dataset) -> Self:
        """Learn from ``dataset`` and return the model itself."""

    @abstractmethod
    def predict_structure(self, dataset: Dataset) -> Any:
        """Return one structure per row."""


class Metalearner(Model, ABC):
    """A model that learns how to learn a task from few examples."""

    @abstractmethod
    def meta_fit(self, tasks: Iterable[Dataset]) -> Self:
        """Learn from many tasks and return the model itself."""

    @abstractmethod
    def adapt(self, task: Dataset) -> Model:
        """Return a model adapted to ``task``, and leave this one unchanged."""


class Policy(Model, ABC):
    """A model that acts in an environment."""

    @abstractmethod
    def learn(self, env: Any, steps: int) -> Self:
        """Learn from ``steps`` steps in ``env`` and return the policy itself."""

    @abstractmethod
    def act(self, observation: np.ndarray) -> np.ndarray:
        """Return the action for an observation, or one per row of a batch of them."""
