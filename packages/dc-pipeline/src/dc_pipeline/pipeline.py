"""``Pipeline``: the whole road from raw inputs to predictions, as one model."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Self

import numpy as np

from dc_core import (
    Dataset,
    Estimator,
    FailureReport,
    Features,
    Featurizer,
    Metric,
    NumpyDataset,
    Transformer,
    check_dataset,
    score_all,
    to_array,
)
from dc_core.errors import DatasetError, EmptyDataset, ParameterError

logger = logging.getLogger(__name__)


class Pipeline(Estimator):
    """Featurizer, transformers and model, fitted, stored and used as one model.

    With a ``featurizer``, X of every dataset is the raw inputs, such as SMILES. An input that fails
    is never dropped in silence: :attr:`failures` is the report of the last call, and it is logged.

    Raises :class:`ParameterError` for a part that is none of its kind.
    """

    def __init__(
        self,
        model: Estimator,
        featurizer: Featurizer[Any] | None = None,
        transformers: Sequence[Transformer] = (),
    ) -> None:
        _check("model", model, Estimator)
        if featurizer is not None:
            _check("featurizer", featurizer, Featurizer)
        if not isinstance(transformers, Iterable):
            raise ParameterError(
                f"Pipeline's transformers are a list, not a single {type(transformers).__name__}.",
                hint="Put it into one: transformers=[…].",
            )
        for transformer in transformers:
            _check("transformers", transformer, Transformer)
        self.model = model
        self.featurizer = featurizer
        self.transformers = tuple(transformers)
        self.failures = FailureReport()

    def fit(self, dataset: Dataset, *, valid: Dataset | None = None, **options: Any) -> Self:
        """Fit the transformers, then the model, on the rows of ``dataset`` that can be featurized.

        ``valid`` (for early stopping, where the model does that) goes the same road, with the
        training data's statistics. ``options`` go to the model's ``fit``. :attr:`failures` holds
        those of ``dataset``, then those of ``valid``.

        Raises :class:`EmptyDataset` when no row is left.
        """
        for given in (dataset,) if valid is None else (dataset, valid):
            check_dataset(given)
        train, failures = self._featurized(dataset, "training")
        if valid is not None:
            valid, others = self._featurized(valid, "validation")
            failures = FailureReport(failures.failures + others.failures)
            options["valid"] = valid
        self.failures = failures
        for transformer in self.transformers:
            train = transformer.fit(train).transform(train)
            if valid is not None:
                options["valid"] = valid = transformer.transform(valid)
        self.model.fit(train, **options)
        return self

    def predict(
        self, dataset: Dataset | Sequence[Any] | np.ndarray, *, strict: bool = False
    ) -> np.ndarray:
        """Return one prediction per input, in the labels' own units.

        ``dataset`` is raw inputs (a list of SMILES, an array of X), or a dataset of which only X is
        used. The result is ``(n, tasks)``, or ``(n, tasks, classes)`` of probabilities; rows that
        cannot be featurized are NaN, and ``strict`` raises :class:`FeaturizationError` instead.

        Raises :class:`EmptyDataset` without an input, and :class:`DatasetError` for a single string
        and for what has no order or length.
        """
        if isinstance(dataset, str):
            raise DatasetError(
                "The input is a single string.", hint=f"Give a sequence: predict([{dataset!r}])."
            )
        if not hasattr(dataset, "__len__") or isinstance(dataset, bytes | Mapping | AbstractSet):
            raise DatasetError(
                f"The inputs are a {type(dataset).__name__}.",
                hint="Give them in order: a list, an array or a dataset.",
            )
        if not isinstance(dataset, Dataset | list | tuple):
            # Text of any width, and DataFrames, whose iteration would give the columns' names.
            dataset = to_array("The input", dataset, missing=True)
        if len(dataset) == 0:
            raise EmptyDataset("There is no input to predict for.")
        features = self._features(dataset, strict=strict)
        self.failures = features.report
        self._log(features.report, "prediction inputs")
        ok = features.ok
        # Where nothing is good, the zero rows of the failures still tell the predictions' shape.
        used = ok if ok.any() else ~ok
        good: Dataset = NumpyDataset(features.values if used.all() else features.values[used])
        for transformer in self.transformers:
            good = transformer.transform(good)
        prediction = self.model.predict(good)
        for transformer in reversed(self.transformers):
            prediction = transformer.untransform(prediction)
        if ok.all():
            return prediction
        dtype = np.result_type(prediction.dtype, np.float16)
        whole = np.full((len(ok), *prediction.shape[1:]), np.nan, dtype)
        whole[ok] = prediction[ok[used]]
        return whole

    def evaluate(self, dataset: Dataset, metrics: Iterable[Metric]) -> dict[str, float]:
        """Return each metric's value on the rows of ``dataset`` that can be featurized.

        Raises :class:`EmptyDataset` when there is none.
        """
        check_dataset(dataset)
        if len(dataset) == 0:
            raise EmptyDataset("There is no row to evaluate on.")
        prediction = self.predict(dataset)
        ok = np.ones(len(dataset), bool)
        ok[[failure.row for failure in self.failures.failures]] = False
        if not ok.any():
            raise EmptyDataset(f"No row can be evaluated: {self.failures}.")
        return score_all(metrics, dataset.y[ok], prediction[ok], dataset.w[ok], dataset.tasks)

    def _features(self, inputs: Any, *, strict: bool = False) -> Features:
        """Return one row of features per input; without a featurizer they are the inputs."""
        X = inputs.X if isinstance(inputs, Dataset) else inputs
        if self.featurizer is not None:
            raw = X.tolist() if isinstance(X, np.ndarray) and X.dtype.kind == "T" else X
            return self.featurizer.featurize(raw, strict=strict)
        values = NumpyDataset(X).X
        return Features(values, np.ones(len(values), bool))

    def _featurized(self, dataset: Dataset, role: str) -> tuple[Dataset, FailureReport]:
        """Return the usable rows of ``dataset`` with features as X, and the others' report."""
        if len(dataset) == 0:
            raise EmptyDataset(f"The {role} data has no row.", hint="See the loader's report.")
        if self.featurizer is None:
            return dataset, FailureReport()
        features = self._features(dataset)
        self._log(features.report, f"{role} data")
        if not features.ok.any():
            raise EmptyDataset(f"The {role} data has no usable row: {features.report}.")
        X, rows = features.values, dataset
        if not features.ok.all():
            X, rows = X[features.ok], dataset.select(features.ok)
        return NumpyDataset(X, rows.y, rows.w, rows.ids, rows.tasks), features.report

    def _log(self, report: FailureReport, what: str) -> None:
        if report.failures:
            logger.warning("%s: %s", what, report)


def _check(argument: str, value: Any, kind: type) -> None:
    if not isinstance(value, kind):
        raise ParameterError(
            f"{argument} must be a dc_core.{kind.__name__}, not a {type(value).__name__}.",
            hint="Wrap a framework's own model first, as TorchModel or SklearnModel does."
            if kind is Estimator
            else "",
        )
