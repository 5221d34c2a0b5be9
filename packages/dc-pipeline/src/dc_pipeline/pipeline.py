"""``Pipeline``: featurizer, transformers and model as one model."""

from __future__ import annotations

import hashlib
import inspect
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Self, overload

import numpy as np

from dc_core import (
    Columns,
    Dataset,
    Estimator,
    FailureReport,
    Features,
    Featurizer,
    Metric,
    NormalDistribution,
    NumpyDataset,
    Transformer,
    check_dataset,
    check_flag,
    check_metrics,
    score_all,
    set_origins,
    take_rows,
)
from dc_core.errors import EmptyDataset, ParameterError
from dc_pipeline.inputs import as_sequence
from dc_pipeline.logs import log_failures
from dc_pipeline.training_rows import check_unseen, kept_digests, row_digests

if TYPE_CHECKING:
    from dc_pipeline.scale.predicting import Predictions

logger = logging.getLogger(__name__)

_PROBE: Final = 16
"""Inputs of which one is predicted first, if there are more."""


class Pipeline(Estimator):
    """Featurizer, transformers and model, which are fitted, stored and used as one model.

    With a ``featurizer``, X of every dataset is the raw inputs, such as SMILES. Inputs that fail
    are never dropped silently: :attr:`failures` is the report of the last call, and it is logged.

    The pipeline remembers the rows that it was trained on, so that :meth:`evaluate` can refuse
    them: ``training_rows`` is a sorted array of 64-bit digests of their inputs and labels, at most
    a million, and is stored with the weights. Whoever has the stored pipeline can check whether it
    was trained on a row that they know or guess. If that must not be, call :meth:`forget_rows`
    before publishing, or give ``remember_rows=False``.

    Raises :class:`ParameterError` if a part is not of its kind.
    """

    fitted = ("training_rows",)

    def __init__(
        self,
        model: Estimator,
        featurizer: Featurizer[Any] | None = None,
        transformers: Sequence[Transformer] = (),
        *,
        remember_rows: bool = True,
    ) -> None:
        _check("model", model, Estimator)
        if featurizer is not None:
            _check("featurizer", featurizer, Featurizer)
        if not isinstance(transformers, Iterable):
            raise ParameterError(
                f"transformers must be a list, not of type {type(transformers).__name__}.",
                hint=f"Give a list: transformers=[{transformers!r}]."
                if isinstance(transformers, Transformer)
                else "Leave it out if there are none.",
            )
        for transformer in transformers:
            _check("transformers", transformer, Transformer)
        self.model = model
        self.featurizer = featurizer
        self.transformers = tuple(transformers)
        self.remember_rows = check_flag("remember_rows", remember_rows)
        self.training_rows: np.ndarray | None = None
        self.failures = FailureReport()

    @property
    def classes(self) -> Mapping[str, tuple[str, ...]]:
        """The names of the model's classes, by task."""
        return self.model.classes

    def set_classes(self, classes: Mapping[str, Sequence[str]]) -> None:
        """Set the names of the model's classes."""
        self.model.set_classes(classes)

    @property
    def is_fitted(self) -> bool:
        """Whether the model and the other parts are fitted."""
        return all(child.is_fitted for child in self.children().values())

    def forget_rows(self) -> None:
        """Forget which rows the pipeline was trained on; :meth:`evaluate` then refuses none."""
        self.training_rows = None

    @property
    def predicts_classes(self) -> bool | None:
        """Whether the model is a classifier; None if that is not known."""
        return self.model.predicts_classes

    def _after_fit(self, dataset: Any) -> None:
        """Leave the classes to the model, whose own ``fit`` has noted them."""

    def fit(self, dataset: Dataset, *, valid: Dataset | None = None, **options: Any) -> Self:
        """Fit the transformers, then the model, on the rows of ``dataset`` that can be featurized.

        ``valid`` is for models that stop early. It is featurized and transformed with the
        statistics of the training data. ``options`` go to the model's ``fit``. :attr:`failures`
        holds the failures of ``dataset``, followed by those of ``valid``.

        If the model's ``fit`` fails or is interrupted before it changed the model, the transformers
        get their former statistics back, so that the pipeline predicts as before.

        Raises :class:`EmptyDataset` if no row is left, and :class:`ParameterError` for an option
        that the model's ``fit`` does not have.
        """
        for given in (dataset,) if valid is None else (dataset, valid):
            check_dataset(given)
        self._check_options(options)
        digests = row_digests(dataset) if self.remember_rows else None
        train, failures = self._featurized(dataset, "training")
        if digests is not None:
            digests = np.delete(digests, [failure.row for failure in failures])
        if valid is not None:
            valid, others = self._featurized(valid, "validation")
            failures = FailureReport((*failures, *others))
            options["valid"] = valid
        self.failures = failures
        if "callbacks" in options:
            options["callbacks"] = [each.within(self) for each in options["callbacks"]]
        former = [transformer.export_weights() for transformer in self.transformers]
        remembered = self.training_rows
        restorable = any(former) or self.model.is_fitted
        model = _digest(self.model) if restorable else b""
        try:
            for transformer in self.transformers:
                train = transformer.fit(train).transform(train)
                if valid is not None:
                    options["valid"] = valid = transformer.transform(valid)
            self._remember(digests, remembered)  # for what is stored during training
            self.model.fit(train, **options)
        except BaseException:
            if restorable and _digest(self.model) == model:
                for transformer, weights in zip(self.transformers, former, strict=True):
                    if weights:  # one that was not fitted has no former statistics
                        transformer.import_weights(weights)
                self.training_rows = remembered
            elif not self.model.is_fitted:
                self.training_rows = remembered
            raise
        # A model with a training state, such as a network, trains on from its present weights.
        trains_on = bool(self.model.get_training_state())
        self._remember(digests, remembered if trains_on else None)
        set_origins(self, ())
        return self

    @overload
    def predict(
        self, dataset: Dataset | Sequence[Any] | np.ndarray, *, strict: bool = False
    ) -> np.ndarray: ...
    @overload
    def predict(
        self,
        dataset: Dataset | str | os.PathLike[str],
        *,
        out: str | os.PathLike[str],
        **options: Any,
    ) -> Predictions: ...
    def predict(
        self, dataset: Any, *, strict: bool = False, out: Any = None, **options: Any
    ) -> Any:
        """Return one prediction per input, in the labels' own units.

        ``dataset`` is raw inputs (a list of SMILES, an array of X, a Series or one-column DataFrame
        of pandas, Polars or Arrow), or a dataset of which only X is used. The result is
        ``(n, tasks)``, or ``(n, tasks, classes)`` of probabilities. Rows that cannot be featurized
        are NaN; ``strict`` raises :class:`FeaturizationError` instead.

        With ``out``, ``dataset`` may also be a file, and the predictions are written to the table
        ``out`` instead of being returned, in memory that does not grow with the rows: ``options``
        are those of :func:`dc_pipeline.predict_to`, such as ``engine="processes"``.

        Raises :class:`EmptyDataset` if there are no inputs, :class:`DatasetError` for a single
        string and for inputs without order or length, and :class:`ParameterError` for options
        without ``out``, and for ``strict`` with it.
        """
        if out is not None:
            if strict:
                raise ParameterError(
                    "strict=True has no meaning with out=: the table has a row for each input, "
                    "with the reason if it failed.",
                    hint="Leave strict out, and look at the failures that are returned.",
                )
            from dc_pipeline.scale.predicting import predict_to

            return predict_to(self, dataset, out, **options)
        if options:
            raise ParameterError(
                f"predict has no option {next(iter(options))!r} that works without out=.",
                hint='Give the table to write: predict(dataset, out="scores.parquet", ...).',
            )
        (prediction,) = self._per_input(dataset, lambda X: (self._predicted(X),), strict=strict)
        return prediction

    def predict_distribution(
        self, dataset: Dataset | Sequence[Any] | np.ndarray, *, strict: bool = False
    ) -> NormalDistribution:
        """Return a normal distribution per input and task, in the labels' own units.

        ``dataset`` and ``strict`` are as in :meth:`predict`; rows that cannot be featurized are
        NaN. A transformer of the labels that is not linear maps deviations back by its slope.

        Raises :class:`Unsupported` if the model predicts no deviations, or a transformer cannot map
        them back, and what :meth:`predict` raises.
        """
        return NormalDistribution(*self._per_input(dataset, self._distribution, strict=strict))

    def evaluate(
        self, dataset: Dataset, metrics: Iterable[Metric], *, allow_train: bool = False
    ) -> dict[str, float]:
        """Return each metric's value on the rows of ``dataset`` that can be featurized.

        ``allow_train`` permits rows that the pipeline was trained on, as for a learning curve; if
        some of the rows are and others are not, it is logged.

        Raises :class:`LeakageError` if there are such rows, :class:`EmptyDataset` if no row can be
        used, and :class:`DatasetError` if the dataset's classes are not the model's, or a metric is
        not for classes.
        """
        check_dataset(dataset)
        metrics = check_metrics(metrics)
        if len(dataset) == 0:
            raise EmptyDataset("There is no row to evaluate on.")
        self.check_classes(dataset)
        allow_train = check_flag("allow_train", allow_train)
        check_unseen(dataset, self.training_rows, "pipeline", allow_train=allow_train)
        std = None
        if any(metric.needs_distribution for metric in metrics):
            prediction, std = self.predict_distribution(dataset)
        else:
            prediction = self.predict(dataset)
        ok = np.ones(len(dataset), bool)
        ok[[failure.row for failure in self.failures]] = False
        if not ok.any():
            raise EmptyDataset(f"No row can be evaluated: {self.failures}.")
        y, w, prediction = dataset.y[ok], dataset.w[ok], prediction[ok]
        std = None if std is None else std[ok]
        return score_all(metrics, y, prediction, w, dataset.tasks, dataset.classes, std)

    def _remember(self, digests: np.ndarray | None, former: np.ndarray | None) -> None:
        """Remember the digests of the rows that the model is fitted to, and ``former`` ones."""
        self.training_rows = None if digests is None else kept_digests(digests, former)

    def _per_input(
        self, dataset: Any, predict: Callable[[Columns], Sequence[np.ndarray]], *, strict: bool
    ) -> list[np.ndarray]:
        """Return the arrays that ``predict`` makes of the features, with NaN where there are none.

        Each has one row per input. The failures are kept and logged.
        """
        is_features = self.featurizer is None and isinstance(dataset, Dataset)
        inputs = dataset if is_features else as_sequence(dataset)
        if len(inputs) == 0:
            raise EmptyDataset("There is no input to predict for.")
        if self.featurizer is not None and len(inputs) > _PROBE:
            self._check_features(inputs[:_PROBE])
        features = self._features(inputs, strict=strict)
        self.failures = features.failures
        log_failures(logger, features.failures, "prediction inputs")
        ok = features.ok
        # If all rows failed, their zero features still give the predictions their shape.
        used = ok if ok.any() else ~ok
        X = features.values if used.all() else take_rows(features.values, used)
        predicted = predict(X)
        if ok.all():
            return list(predicted)
        whole = []
        for rows in predicted:
            dtype = np.result_type(rows.dtype, np.float16)
            filled = np.full((len(ok), *rows.shape[1:]), np.nan, dtype)
            filled[ok] = rows[ok[used]]
            whole.append(filled)
        return whole

    def _check_options(self, options: Mapping[str, Any]) -> None:
        known = inspect.signature(self.model.fit).parameters
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
            return
        for name in options:
            if name not in known:
                names = [option for option in known if option != "dataset"]
                raise ParameterError(
                    f"{type(self.model).__name__}.fit has no option {name!r}.",
                    hint=f"Its options are: {', '.join(names)}.",
                )

    def _predicted(self, X: Columns) -> np.ndarray:
        """Return the prediction for rows of features, in the labels' own units."""
        prediction = self.model.predict(self._transformed(X))
        for transformer in reversed(self.transformers):
            prediction = transformer.untransform(prediction)
        return prediction

    def _distribution(self, X: Columns) -> NormalDistribution:
        """Return the predicted distributions for rows of features, in the labels' own units."""
        mean, std = self.model.predict_distribution(self._transformed(X))
        for transformer in reversed(self.transformers):
            std = transformer.untransform_deviation(mean, std)
            mean = transformer.untransform(mean)
        return NormalDistribution(mean, std)

    def _transformed(self, X: Columns) -> Dataset:
        rows: Dataset = NumpyDataset(X)
        for transformer in self.transformers:
            rows = transformer.transform(rows)
        return rows

    def _check_features(self, inputs: Sequence[Any]) -> None:
        """Let the model refuse features that are not its own before those of all inputs are made.

        A stored pipeline can ask for features that are far larger than its model takes.
        """
        features = self._features(inputs)
        if features.ok.any():
            self._predicted(take_rows(features.values, np.flatnonzero(features.ok)[:1]))

    def _features(self, inputs: Any, *, strict: bool = False) -> Features:
        """Return one row of features per input; without a featurizer they are the inputs."""
        if self.featurizer is not None:
            return self.featurizer.featurize(inputs, strict=strict)
        dataset = inputs if isinstance(inputs, Dataset) else NumpyDataset(inputs)
        return Features(dataset.X, np.ones(len(dataset), bool))

    def _featurized(self, dataset: Dataset, role: str) -> tuple[Dataset, FailureReport]:
        """Return the usable rows of ``dataset`` with features as X, and a report on the others."""
        if len(dataset) == 0:
            raise EmptyDataset(f"The {role} data has no row.", hint="See the loader's report.")
        if self.featurizer is None:
            return dataset, FailureReport()
        features = self._features(as_sequence(dataset))
        log_failures(logger, features.failures, f"{role} data")
        if not features.ok.any():
            raise EmptyDataset(f"The {role} data has no usable row: {features.failures}.")
        X, rows = features.values, dataset
        if not features.ok.all():
            X, rows = take_rows(X, features.ok), dataset.select(features.ok)
        return NumpyDataset(
            X, rows.y, rows.w, rows.ids, rows.tasks, rows.classes
        ), features.failures


_WRAPPERS: Final[Mapping[type, str]] = {
    Estimator: "Wrap a framework's own model first, as TorchModel or SklearnModel does.",
    Transformer: "Wrap a framework's own transformer first, as SklearnTransformer does.",
}


def _check(argument: str, value: Any, kind: type) -> None:
    if isinstance(value, kind):
        return
    if isinstance(value, type) and issubclass(value, kind):
        raise ParameterError(
            f"{argument} is the class {value.__name__}.",
            hint=f"Make an instance: {value.__name__}().",
        )
    raise ParameterError(
        f"{argument} must be a dc_core.{kind.__name__}, not of type {type(value).__name__}.",
        hint=_WRAPPERS.get(kind, ""),
    )


def _digest(model: Estimator) -> bytes:
    """Return a digest of the model's weights."""
    digest = hashlib.sha256()
    for name, array in model.export_weights(copy=False).items():
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.digest()
