"""Gradient boosting."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from functools import partial
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
from dc_sklearn.kinds import MISSING, Classes, Count, Flag, Flags, Floats, Number, Size
from dc_sklearn.nested import Nested
from dc_sklearn.schema import Field, Restoring, Schema, State, Storing, schema
from dc_sklearn.slots import Reader, Slots


def _tree(owner: Any) -> Any:
    """Return an unfitted tree of the ensemble, with the parameters that ``fit`` gives it."""
    shared = set(DecisionTreeRegressor._get_param_names()) - {"random_state"}
    return DecisionTreeRegressor(**{n: getattr(owner, n) for n in shared if hasattr(owner, n)})


def _first_guess(owner: Any, state: State) -> Any:
    """Return the unfitted baseline ``init_``, which depends on the loss."""
    if owner.init is not None:
        raise NotSerializable(
            f"{type(owner).__name__}(init={owner.init!r}) cannot be stored.",
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
    """The attribute ``init_``: it allocates the columns to which native code adds."""

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
            raise StructureError(f"{path!r} predicts other outputs than the trees.")
        return guess


def _check(owner: Any, state: State) -> None:
    """Check that every stage has one tree per column to which native code adds."""
    classes = int(state.get("n_classes_", 1))
    columns = classes if classes > 2 else 1
    if state["n_trees_per_iteration_"] != columns or state["estimators_"].shape[1] != columns:
        raise StructureError(f"The stages do not have {columns} trees each.")
    if (owner.init == "zero") != isinstance(state["init_"], str):
        raise StructureError("init_ and the parameter init do not fit together.")


def _rebuild(owner: Any, state: State) -> State:
    """Make the loss anew; prediction uses its link function."""
    shell = copy(owner)
    vars(shell).update(state)
    return {"_loss": shell._get_loss(sample_weight=None)}


def _rebuild_histogram(owner: Any, state: State) -> State:
    """Make the loss anew, and the scorer with which early stopping continues."""
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
    numbers = FunctionTransformer(partial(check_array, dtype=[np.float64], ensure_all_finite=False))
    return ColumnTransformer(
        [("encoder", encoder, categorical), ("numerical", numbers, ~categorical)]
    ).set_output(transform="default")


def _remapped(owner: Any, state: State) -> np.ndarray | None:
    """Return which columns are categories after preprocessing, which places them first."""
    categorical = state["is_categorical_"]
    return None if categorical is None else np.sort(categorical)[::-1].copy()


class _Preprocessor:
    """The attribute ``_preprocessor``: native code reads one column per feature."""

    _nested: Final = Nested(_histogram_preprocessor)

    def encode(self, path: str, value: Any, storing: Storing) -> Slots:
        """Yield the slots of the preprocessor."""
        return self._nested.encode(path, value, storing)

    def decode(self, reader: Reader, path: str, restoring: Restoring) -> Any:
        """Return the preprocessor, checked to give every feature one column."""
        categorical = restoring.state["is_categorical_"]
        found = self._nested.decode(reader, path, restoring)
        if (found is None) != (categorical is None):
            raise StructureError(f"{path!r} and is_categorical_ do not fit together.")
        return found


def _check_histogram(owner: Any, state: State) -> None:
    """Check the counts of classes and of trees against each other."""
    columns = state["n_trees_per_iteration_"]
    classes = np.size(state["classes_"]) if "classes_" in state else 1
    if columns != (classes if classes > 2 else 1):
        raise StructureError(f"{classes} classes do not have {columns} trees per iteration.")
    if any(len(iteration) != columns for iteration in state["_predictors"]):
        raise StructureError(f"The iterations do not have {columns} trees each.")


_STAGED: Final[Mapping[str, Field]] = {
    "_rng": LegacyGenerator(),
    "n_features_in_": Size("n"),
    "n_trees_per_iteration_": Count(1),
    "max_features_": Count(1),
}
_STAGES: Final[Mapping[str, Field]] = {
    "init_": _FirstGuess(),
    "estimators_": Forest(_tree, one_output, staged=True),
}
_SCORES: Final[Mapping[str, Field]] = {
    "n_estimators_": Count(1),
    "train_score_": Floats("_"),
    "oob_improvement_": Floats("_"),
    "oob_score_": Number(),
    "oob_scores_": Floats("_"),
}
_HISTOGRAM: Final[Mapping[str, Field]] = {
    "n_features_in_": Size("n"),
    "n_trees_per_iteration_": Size("trees", minimum=1),
    "is_categorical_": Flags("n") | MISSING,
    "_preprocessor": _Preprocessor(),
    "_baseline_prediction": Floats("1 trees"),
    "_bin_mapper": BinMapper(),
    "_predictors": Predictors(),
    "_random_seed": Count(0, 2**32 - 1),
    "_feature_subsample_rng": Generator(),
}
_STOPPING: Final[Mapping[str, Field]] = {
    "_use_validation_data": Flag(),
    "_fitted_with_sw": Flag(),
    "do_early_stopping_": Flag(),
    "train_score_": Floats("_"),
    "validation_score_": Floats("_"),
}
_TRAINING: Final = "_label_encoder _raw_predict _in_fit"


def _staged(classes: Mapping[str, Field]) -> Schema:
    return schema(
        {**_STAGED, **classes, **_STAGES},
        _SCORES,
        rebuilt="_loss",
        rebuild=_rebuild,
        check=_check,
    )


def _histogram(classes: Mapping[str, Field]) -> Schema:
    return schema(
        {**classes, **_HISTOGRAM},
        _STOPPING,
        training=_TRAINING,
        derived={
            "_n_features": lambda owner, state: state["n_features_in_"],
            "_is_categorical_remapped": _remapped,
        },
        rebuilt="_loss _scorer",
        rebuild=_rebuild_histogram,
        check=_check_histogram,
    )


_CLASSES: Final[Mapping[str, Field]] = {"classes_": Classes("classes", minimum=1)}

SCHEMAS: Final = {
    "ensemble.GradientBoostingClassifier": _staged({**_CLASSES, "n_classes_": Size("classes")}),
    "ensemble.GradientBoostingRegressor": _staged({}),
    "ensemble.HistGradientBoostingClassifier": _histogram(_CLASSES),
    "ensemble.HistGradientBoostingRegressor": _histogram({}),
}
