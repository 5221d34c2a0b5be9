"""The six roles that a model can have, and the methods of each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from dc_core.dataset import Dataset, check_dataset
from dc_core.errors import DatasetError, EmptyDataset, Unsupported
from dc_core.fitting import FitsDataset
from dc_core.metric import Metric, check_metrics, score_all
from dc_core.model import Model

if TYPE_CHECKING:
    import numpy as np


class NormalDistribution(NamedTuple):
    """A normal distribution per predicted value: ``mean`` and ``std``, each ``(n, tasks)``.

    ``std`` is the standard deviation, in the units of the labels, and never negative.
    """

    mean: np.ndarray
    std: np.ndarray


class Estimator(FitsDataset, Model, ABC):
    """A model that learns y from X.

    Predictions have one row per row of the dataset: shape ``(n, tasks)`` for regression,
    ``(n, tasks, classes)`` of probabilities for classification.

    After ``fit`` the model knows the names of its classes, and they are stored with it. Datasets
    that number them otherwise are refused by ``predict``, ``evaluate`` and ``fit(valid=)``.
    """

    _classes: Mapping[str, tuple[str, ...]] = MappingProxyType({})

    def __init_subclass__(cls, **options: Any) -> None:
        """Check the classes of the datasets that the subclass predicts for."""
        super().__init_subclass__(**options)
        predict = vars(cls).get("predict")
        if predict is not None:
            cls.predict = _of_same_classes(predict)  # type: ignore[method-assign]

    @property
    def classes(self) -> Mapping[str, tuple[str, ...]]:
        """The names of the classes 0, 1, … of each task whose labels had names in training.

        They give other datasets the same numbers: ``NumpyDataset(X, y, classes=model.classes)``,
        and name the columns of predicted probabilities.
        """
        return dict(self._classes)

    def set_classes(self, classes: Mapping[str, Sequence[str]]) -> None:
        """Set the names of the classes of each task, as when a stored model is loaded."""
        self._classes = {task: tuple(names) for task, names in classes.items()}

    @property
    def predicts_classes(self) -> bool | None:
        """Whether the model is a classifier; None if that is not known.

        A model that is not refuses datasets whose labels are named classes.
        """
        return None

    def check_classes(self, dataset: Dataset) -> None:
        """Check that the model and ``dataset`` number the classes alike.

        Raises :class:`DatasetError` if they are named classes and the model is no classifier, or
        numbers its classes otherwise. A dataset may lack the last of the model's classes.
        """
        named = {task: names for task, names in dataset.classes.items() if names}
        if named and self.predicts_classes is False:
            raise DatasetError(
                f"The labels of {next(iter(named))!r} are classes, and {self.call_text()} predicts "
                "numbers.",
                hint="Use a classifier, or give the labels as numbers.",
            )
        _check_numbering(named, self.classes, "model")

    def _before_fit(self, dataset: Any, valid: Any) -> None:
        if not isinstance(dataset, Dataset):
            return  # fit itself says what it takes
        if dataset.classes and self.predicts_classes is False:
            self.check_classes(dataset)
        if isinstance(valid, Dataset):
            _check_numbering(valid.classes, dataset.classes, "training data")

    def _after_fit(self, dataset: Any) -> None:
        if isinstance(dataset, Dataset):
            self.set_classes({task: names for task, names in dataset.classes.items() if names})

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

    def predict_distribution(self, dataset: Dataset) -> NormalDistribution:
        """Return a normal distribution per predicted value; the means are those of :meth:`predict`.

        Raises :class:`Unsupported` if the model does not say how sure it is, and what
        :meth:`predict` raises.
        """
        raise Unsupported(
            f"{type(self).__name__} predicts no standard deviations.",
            hint="Use a model that does, such as an ensemble or a Gaussian process.",
        )

    def evaluate(self, dataset: Dataset, metrics: Iterable[Metric]) -> dict[str, float]:
        """Return each metric's value on ``dataset``, averaged over the tasks, by the metric's name.

        With several tasks there is also ``<metric>/<task>`` for each. Labels of weight 0 are left
        out. Metrics of distributions score :meth:`predict_distribution`.

        Raises :class:`EmptyDataset` if there is no row, :class:`DatasetError` if the dataset's
        classes are not the model's, or a metric is not for classes, and :class:`ParameterError` if
        ``metrics`` is not a sequence of metrics. Raises :class:`Unsupported` for a metric of
        distributions if the model predicts none.
        """
        check_dataset(dataset)
        metrics = check_metrics(metrics)
        if len(dataset) == 0:
            raise EmptyDataset("The dataset has no rows to evaluate on.")
        self.check_classes(dataset)
        std = None
        if any(metric.needs_distribution for metric in metrics):
            prediction, std = self.predict_distribution(dataset)
        else:
            prediction = self.predict(dataset)
        return score_all(
            metrics, dataset.y, prediction, dataset.w, dataset.tasks, dataset.classes, std
        )


def _of_same_classes(predict: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(predict)
    def checked(self: Any, *datasets: Any, **options: Any) -> Any:
        dataset = datasets[0] if datasets else options.get("dataset")
        # Prediction needs only X, so that a model of numbers may predict for any labels.
        if self.classes and isinstance(dataset, Dataset) and dataset.classes:
            self.check_classes(dataset)
        return predict(self, *datasets, **options)

    return checked


def _check_numbering(
    classes: Mapping[str, Sequence[str]], known: Mapping[str, Sequence[str]], whose: str
) -> None:
    """Raise :class:`DatasetError` if ``classes`` number differently from those ``known``, if any.

    They may lack the last ones. What has no names cannot be compared.
    """
    for task, names in classes.items() if known else ():
        others = known.get(task, ())
        if tuple(others[: len(names)]) != tuple(names):
            source = "model" if whose == "model" else "train"
            raise DatasetError(
                f"The classes of {task!r} are {_listed(names)} in the dataset, and "
                f"{_listed(others)} in the {whose}: their numbers differ.",
                hint=f"Number them alike: give classes={source}.classes to the dataset.",
            )


def _listed(names: Sequence[str]) -> str:
    shown = [repr(name) for name in names[:5]]
    return ", ".join(shown) + (f" … ({len(names)})" if len(names) > 5 else "") or "none"


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
