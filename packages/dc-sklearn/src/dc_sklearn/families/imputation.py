"""Imputers: the values that replace missing ones, or the estimators that predict them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from sklearn.base import clone
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.impute._iterative import _ImputerTriplet
from sklearn.linear_model import BayesianRidge
from sklearn.utils._mask import _get_mask

from dc_core.errors import StructureError
from dc_sklearn import values
from dc_sklearn.generators import LegacyGenerator
from dc_sklearn.kinds import (
    MISSING,
    ArrayOf,
    Count,
    Dtype,
    Flag,
    Flags,
    Floats,
    Halves,
    Integers,
    Labels,
    Number,
    Size,
    Word,
    rises,
)
from dc_sklearn.nested import Nested
from dc_sklearn.schema import Field, Restoring, State, Storing, schema
from dc_sklearn.slots import Reader, Slots


def _check_indicator(owner: Any, state: State) -> None:
    """Check that missing values are indicated if the parameter says so."""
    if bool(owner.add_indicator) != (state["indicator_"] is not None):
        raise StructureError("indicator_ and the parameter add_indicator do not fit together.")


def _missing(owner: Any, state: State) -> Any:
    """Return which values of the training rows are missing, as ``KNNImputer.fit`` does."""
    return _get_mask(state["_fit_X"], owner.missing_values)


def _known(owner: Any, state: State) -> np.ndarray:
    """Return which features have a value in a training row, as ``KNNImputer.fit`` does."""
    known: np.ndarray = ~_missing(owner, state).all(axis=0)
    return known


def _indicator(owner: Any, state: State) -> Any:
    if not owner.add_indicator:
        return None
    return MissingIndicator(missing_values=owner.missing_values, error_on_new=False)


def _check_indicated(owner: Any, state: State) -> None:
    """Check that no feature is indicated twice."""
    if not rises(state["features_"]):
        raise StructureError("features_ does not rise.")


def _initial(owner: Any, state: State) -> Any:
    """Return the imputer whose values are the first guess, as ``IterativeImputer.fit`` makes it."""
    return SimpleImputer(
        missing_values=owner.missing_values,
        strategy=owner.initial_strategy,
        fill_value=owner.fill_value,
        keep_empty_features=owner.keep_empty_features,
    ).set_output(transform="default")


def _predictor(owner: Any, state: State) -> Any:
    return BayesianRidge() if owner.estimator is None else clone(owner.estimator)


class _Sequence:
    """The attribute ``imputation_sequence_``: a feature, those it is predicted from, and by what.

    For m predictions, ``list/0`` is m, ``features`` is ``(m,)``, and the rest is at
    ``<i>/neighbors`` and ``<i>/estimator``.
    """

    _estimator: Final = Nested(_predictor)

    def encode(self, path: str, value: Any, storing: Storing) -> Slots:
        """Yield the slots of the predictions."""
        yield f"{path}/list/0", values.count(len(value))
        yield from values.encode(
            f"{path}/features", np.array([step.feat_idx for step in value], np.int64)
        )
        for i, step in enumerate(value):
            yield from values.encode(f"{path}/{i}/neighbors", np.asarray(step.neighbor_feat_idx))
            yield from self._estimator.encode(f"{path}/{i}/estimator", step.estimator, storing)

    def decode(self, reader: Reader, path: str, restoring: Restoring) -> list[Any]:
        """Return the predictions, checked to read and write features that there are."""
        sizes = {
            "steps": reader.take_length(f"{path}/list/0"),
            "n": restoring.state["n_features_in_"],
        }
        features = values.decode(reader, f"{path}/features")
        if not _INDICES.accepts(features, sizes) or len(features) != sizes["steps"]:
            raise StructureError(f"{path}/features names features that there are not.")
        found = []
        for i, feature in enumerate(features):
            neighbors = values.decode(reader, f"{path}/{i}/neighbors")
            if not _INDICES.accepts(neighbors, sizes):
                raise StructureError(f"{path}/{i} reads features that there are not.")
            estimator = self._estimator.decode(reader, f"{path}/{i}/estimator", restoring)
            if estimator is None:
                raise StructureError(f"{path}/{i} has no estimator.")
            found.append(_ImputerTriplet(feature, neighbors, estimator))
        return found


_INDICES: Final = Integers("_", minimum=0, below="n")


def _check_rounds(owner: Any, state: State) -> None:
    """Check that the predictions are made in whole rounds."""
    _check_indicator(owner, state)
    rounds, steps = state["n_iter_"], len(state["imputation_sequence_"])
    if (rounds == 0 and steps) or (rounds and (steps < rounds or steps % rounds)):
        raise StructureError(f"imputation_sequence_ does not hold {rounds} rounds of predictions.")
    if rounds and not {"_min_value", "_max_value"} <= state.keys():
        raise StructureError("_min_value or _max_value is missing.")


def _rebuild_predictor(owner: Any, state: State) -> State:
    """Return the estimator that further fitting copies."""
    return {"_estimator": _predictor(owner, state)}


_FEATURES: Final[Mapping[str, Field]] = {"n_features_in_": Size("n")}

SCHEMAS: Final = {
    "impute._iterative.IterativeImputer": schema(
        {
            **_FEATURES,
            "_is_empty_feature": Flags("n"),
            "initial_imputer_": Nested(_initial),
            "indicator_": Nested(_indicator),
            "n_iter_": Count(),
            "imputation_sequence_": _Sequence(),
            "random_state_": LegacyGenerator(),
        },
        {
            # An imputer of rows without missing values has no limits, and needs none.
            "_min_value": Floats("outputs"),
            "_max_value": Floats("outputs"),
            "n_features_with_missing_": Count(),
        },
        rebuilt="_estimator",
        rebuild=_rebuild_predictor,
        check=_check_rounds,
    ),
    "impute.KNNImputer": schema(
        {
            **_FEATURES,
            "_fit_X": Halves("rows n"),
            "indicator_": Nested(_indicator),
        },
        derived={"_mask_fit_X": _missing, "_valid_mask": _known},
        check=_check_indicator,
    ),
    "impute.MissingIndicator": schema(
        {
            **_FEATURES,
            "features_": Integers("_", minimum=0, below="n"),
            "_precomputed": Flag(),
        },
        derived={"_n_features": lambda owner, state: state["n_features_in_"]},
        check=_check_indicated,
    ),
    "impute.SimpleImputer": schema(
        {
            **_FEATURES,
            "statistics_": Labels("n") | ArrayOf(Word() | Number() | MISSING, "n"),
            "indicator_": Nested(_indicator),
            "_fit_dtype": Dtype(),
        },
        since={"1.8": {"_fill_dtype": Dtype()}},
        check=_check_indicator,
    ),
}
