"""Gradient boosting."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from functools import partial
from inspect import signature
from typing import Any, Final

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import check_scoring
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils import check_array

from dc_core.errors import NotSerializable, StructureError
from dc_sklearn.families.forest import Forest, one_output
from dc_sklearn.generators import Generator, LegacyGenerator
from dc_sklearn.histogram import BinMapper, Predictors
from dc_sklearn.nested import Nested
from dc_sklearn.schema import Field, Restoring, State, Storing, schema
from dc_sklearn.slots import Reader, Slots

_ANY_NUMBER: Final = next(
    name
    for name in ("ensure_all_finite", "force_all_finite")
    if name in signature(check_array).parameters
)
"""The argument of ``check_array`` that lets NaN pass; scikit-learn 1.6 renamed it."""


def _tree(owner: Any) -> Any:
    """Return one tree of the boosted ensemble, as its ``fit`` makes it."""
    shared = set(DecisionTreeRegressor._get_param_names()) - {"random_state"}
    return DecisionTreeRegressor(**{n: getattr(owner, n) for n in shared if hasattr(owner, n)})


def _first_guess(owner: Any, state: State) -> Any:
    """Return what ``init_`` is: by default the baseline that suits the loss."""
    if owner.init is not None:
        raise NotSerializable(
            f"{type(owner).__name__}(init={owner.init!r}) has no stored form.",
            hint="Use init=None or init='zero'.",
        )
    if "classes_" in state:
        return DummyClassifier(strategy="prior")
    if owner.loss == "quantile":
        return DummyRegressor(strategy="quantile", quantile=owner.alpha)
    if owner.loss in ("absolute_error", "huber"):
        return DummyRegressor(strategy="quantile", quantile=0.5)
    return DummyRegressor(strategy="mean")


class _FirstGuess:
    """The attribute ``init_``: it makes the columns that native code adds to."""

    _nested: Final = Nested(_first_guess, ("zero",))

    def encode(self, path: str, value: Any, storing: Storing) -> Slots:
        """Yield the slots of the baseline."""
        return self._nested.encode(path, value, storing)

    def decode(self, reader: Reader, path: str, restoring: Restoring) -> Any:
        """Return the baseline, checked to have the owner's classes."""
        guess = self._nested.decode(reader, path, restoring)
        if isinstance(guess, str):
            return guess
        state = next(found for target, found in restoring.commits if target is guess)
        classes = restoring.state.get("n_classes_")
        fits = state["n_outputs_"] == 1 and (
            np.shape(state["constant_"]) == (1, 1)
            if classes is None
            else state["n_classes_"] == classes
            and state.get("_strategy") == "prior"
            and np.shape(state["class_prior_"]) == (classes,)
        )
        if not fits:
            raise StructureError(f"{path!r} guesses for other outputs than the trees.")
        return guess


def _check(owner: Any, state: State) -> None:
    """Check that there are as many trees a stage as native code adds columns."""
    classes = state.get("n_classes_", 1)
    if "classes_" in state and (
        type(classes) is not int or np.shape(state["classes_"]) != (classes,)
    ):
        raise StructureError(f"classes_ does not hold {classes!r} classes.")
    columns = classes if classes > 2 else 1
    if state["n_trees_per_iteration_"] != columns or state["estimators_"].shape[1] != columns:
        raise StructureError(f"There is another number of trees a stage than {columns}.")
    if (owner.init == "zero") != isinstance(state["init_"], str):
        raise StructureError("init_ and the parameter init do not fit together.")


def _rebuild(owner: Any, state: State) -> State:
    """Make the loss again, whose link function predicting uses."""
    shell = copy(owner)
    vars(shell).update(state)
    return {"_loss": shell._get_loss(sample_weight=None)}


def _rebuild_histogram(owner: Any, state: State) -> State:
    """Make the loss again, and the scorer that early stopping goes on with."""
    stops = state.get("do_early_stopping_") is True and owner.scoring != "loss"
    return {
        **_rebuild(owner, state),
        "_scorer": check_scoring(owner, owner.scoring) if stops else None,
    }


def _histogram_preprocessor(owner: Any, state: State) -> Any:
    """Return the preprocessor that ``fit`` makes for categorical features."""
    categorical = state["is_categorical_"]
    if categorical is None:
        return None
    encoder = OrdinalEncoder(
        categories="auto",
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
        encoded_missing_value=np.nan,
        dtype=np.float64,
    )
    numbers = FunctionTransformer(partial(check_array, dtype=[np.float64], **{_ANY_NUMBER: False}))
    return ColumnTransformer(
        [("encoder", encoder, categorical), ("numerical", numbers, ~categorical)]
    ).set_output(transform="default")


class _Preprocessor:
    """The attribute ``_preprocessor``: native code reads as many columns as there are features."""

    _nested: Final = Nested(_histogram_preprocessor)

    def encode(self, path: str, value: Any, storing: Storing) -> Slots:
        """Yield the slots of the preprocessor."""
        return self._nested.encode(path, value, storing)

    def decode(self, reader: Reader, path: str, restoring: Restoring) -> Any:
        """Return the preprocessor, checked to give every feature one column."""
        categorical, n = restoring.state["is_categorical_"], restoring.state["n_features_in_"]
        if categorical is not None and (
            np.shape(categorical) != (n,) or categorical.dtype != np.bool_
        ):
            raise StructureError(f"is_categorical_ does not say one thing of each of {n} features.")
        found = self._nested.decode(reader, path, restoring)
        if (found is None) != (categorical is None):
            raise StructureError(f"{path!r} and is_categorical_ do not fit together.")
        if found is not None:
            state = next(given for target, given in restoring.commits if target is found)
            first, second, *rest = state["transformers_"]
            fits = (
                np.array_equal(first[2], categorical)
                and np.array_equal(second[2], ~categorical)
                and all(part == "drop" for _, part, _ in rest)
            )
            if not fits:
                raise StructureError(f"{path!r} takes other columns than is_categorical_ says.")
        return found


def _check_histogram(owner: Any, state: State) -> None:
    """Check the seed, and the counts of features and trees against each other."""
    seed = state["_random_seed"]
    if not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise StructureError(f"_random_seed is {seed!r}, which is not a seed.")
    n, columns = state["n_features_in_"], state["n_trees_per_iteration_"]
    if state["_n_features"] != n:
        raise StructureError(f"_n_features is {state['_n_features']!r} for {n} features.")
    classes = np.size(state["classes_"]) if "classes_" in state else 1
    if columns != (classes if classes > 2 else 1):
        raise StructureError(f"There are {columns!r} trees an iteration for {classes} classes.")
    if np.shape(state["_baseline_prediction"]) != (1, columns):
        raise StructureError(f"_baseline_prediction does not hold {columns} values.")
    if any(len(iteration) != columns for iteration in state["_predictors"]):
        raise StructureError(f"There is another number of trees an iteration than {columns}.")


_STAGES: Final[Mapping[str, Field]] = {
    "_rng": LegacyGenerator(),
    "estimators_": Forest(_tree, one_output, staged=True),
    "init_": _FirstGuess(),
}
_STAGED: Final = "_rng n_features_in_ n_trees_per_iteration_ max_features_"
_BINNED: Final[Mapping[str, Field]] = {
    "_feature_subsample_rng": Generator(),
    "_preprocessor": _Preprocessor(),
    "_bin_mapper": BinMapper(),
    "_predictors": Predictors(),
}
_HISTOGRAM: Final = (
    "n_features_in_ n_trees_per_iteration_ _n_features is_categorical_ _preprocessor "
    "_baseline_prediction _bin_mapper _predictors _random_seed _feature_subsample_rng"
)
_HISTOGRAM_PRIVATE: Final = "_use_validation_data _is_categorical_remapped"
_HISTOGRAM_TRAINING: Final = "_label_encoder _raw_predict _in_fit"

SCHEMAS: Final = {
    "ensemble.GradientBoostingClassifier": schema(
        f"{_STAGED} classes_ n_classes_ init_ estimators_",
        fields=_STAGES,
        rebuilt="_loss",
        rebuild=_rebuild,
        check=_check,
    ),
    "ensemble.GradientBoostingRegressor": schema(
        f"{_STAGED} init_ estimators_",
        fields=_STAGES,
        rebuilt="_loss",
        rebuild=_rebuild,
        check=_check,
    ),
    "ensemble.HistGradientBoostingClassifier": schema(
        f"classes_ {_HISTOGRAM}",
        _HISTOGRAM_PRIVATE,
        fields=_BINNED,
        training=_HISTOGRAM_TRAINING,
        rebuilt="_loss _scorer",
        rebuild=_rebuild_histogram,
        check=_check_histogram,
    ),
    "ensemble.HistGradientBoostingRegressor": schema(
        _HISTOGRAM,
        _HISTOGRAM_PRIVATE,
        fields=_BINNED,
        training=_HISTOGRAM_TRAINING,
        rebuilt="_loss _scorer",
        rebuild=_rebuild_histogram,
        check=_check_histogram,
    ),
}
