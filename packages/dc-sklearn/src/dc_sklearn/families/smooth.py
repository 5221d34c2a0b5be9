"""Neural networks, kernel ridge and isotonic regression."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any, Final

import numpy as np
from sklearn.preprocessing import LabelBinarizer

from dc_core.errors import StructureError
from dc_sklearn.kinds import (
    MISSING,
    Classes,
    Count,
    Flag,
    Floats,
    ListOf,
    Number,
    Reals,
    Size,
    Sparse,
    Word,
    rises,
)
from dc_sklearn.nested import Nested
from dc_sklearn.schema import Field, State, schema


def _check_layers(owner: Any, state: State) -> None:
    """Check that each layer takes as many numbers as the one before it gives."""
    coefs, biases, width = state["coefs_"], state["intercepts_"], state["n_features_in_"]
    if not len(coefs) == len(biases) == state["n_layers_"] - 1 > 0:
        raise StructureError("coefs_, intercepts_ and n_layers_ do not fit together.")
    for coef, bias in zip(coefs, biases, strict=True):
        if coef.shape[0] != width or bias.shape != coef.shape[1:]:
            raise StructureError(f"coefs_ has a layer of shape {coef.shape} after {width} units.")
        width = coef.shape[1]
    if width != state["n_outputs_"]:
        raise StructureError(f"The last layer has {width} units for {state['n_outputs_']} outputs.")


def _check_thresholds(owner: Any, state: State) -> None:
    """Check that x rises from step to step, and that y rises or falls as the state says."""
    x, y = state["X_thresholds_"], state["y_thresholds_"]
    if not len(x) or not rises(x) or not np.isfinite([*x[[0, -1]], *y]).all():
        raise StructureError("X_thresholds_ does not rise, or y_thresholds_ is not finite.")
    if np.any(np.diff(y if state["increasing_"] else -y) < 0):
        raise StructureError(f"y_thresholds_ contradicts increasing_={state['increasing_']}.")


def _interpolate(owner: Any, state: State) -> State:
    """Make the interpolation again, as scikit-learn does when it is unpickled."""
    shell = copy(owner)
    shell._build_f(state["X_thresholds_"], state["y_thresholds_"])
    return {"f_": shell.f_}


def _best(owner: Any, state: State) -> State:
    """Return the best weights so far, which are the weights that early stopping ended with."""
    if not owner.early_stopping:
        return {}
    return {"_best_coefs": state["coefs_"], "_best_intercepts": state["intercepts_"]}


def _labels(owner: Any, state: State) -> Any:
    return LabelBinarizer()


_NETWORK: Final[Mapping[str, Field]] = {
    "n_features_in_": Size("n"),
    "n_outputs_": Count(1),
    "n_layers_": Count(2),
    "out_activation_": Word(("identity", "logistic", "softmax", "exp")),
    "coefs_": ListOf(Floats("_ _")),
    "intercepts_": ListOf(Floats("_")),
}
_TRAINED: Final[Mapping[str, Field]] = {
    "_no_improvement_count": Count(),
    "best_loss_": Number() | MISSING,
    "best_validation_score_": Number() | MISSING,
    "loss_": Number(),
    "loss_curve_": ListOf(Number()),
    "n_iter_": Count(),
    "t_": Count(),
    "validation_scores_": ListOf(Number()) | MISSING,
}
_SOLVER: Final = "_random_state _optimizer _coef_indptr _intercept_indptr _layer_units"
_BEST: Final = "_best_coefs _best_intercepts"

SCHEMAS: Final = {
    "isotonic.IsotonicRegression": schema(
        {
            "X_thresholds_": Floats("steps"),
            "y_thresholds_": Floats("steps"),
            "increasing_": Flag(),
        },
        {"n_features_in_": Size("n")},
        derived={
            "X_min_": lambda owner, state: state["X_thresholds_"][0],
            "X_max_": lambda owner, state: state["X_thresholds_"][-1],
        },
        rebuilt="f_",
        rebuild=_interpolate,
        check=_check_thresholds,
    ),
    "kernel_ridge.KernelRidge": schema(
        {
            "n_features_in_": Size("n"),
            "dual_coef_": Floats("rows") | Floats("rows targets"),
            "X_fit_": Reals("rows n") | Sparse("rows n"),
        }
    ),
    "neural_network.MLPClassifier": schema(
        {**_NETWORK, "_label_binarizer": Nested(_labels)},
        {**_TRAINED, "classes_": Classes("classes", minimum=1)},
        training=_SOLVER,
        rebuilt=_BEST,
        rebuild=_best,
        mirrored={"classes_": "_label_binarizer"},
        check=_check_layers,
    ),
    "neural_network.MLPRegressor": schema(
        _NETWORK, _TRAINED, training=_SOLVER, rebuilt=_BEST, rebuild=_best, check=_check_layers
    ),
}
