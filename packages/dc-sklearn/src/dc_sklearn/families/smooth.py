"""Smooth regressors: neural networks, kernel ridge, isotonic."""

from __future__ import annotations

from copy import copy
from typing import Any, Final

import numpy as np
from sklearn.preprocessing import LabelBinarizer

from dc_core.errors import StructureError
from dc_sklearn.nested import Nested
from dc_sklearn.schema import State, schema


def _check_layers(owner: Any, state: State) -> None:
    """Check that each layer takes as many numbers as the one before it gives."""
    coefs, biases, width = state["coefs_"], state["intercepts_"], state["n_features_in_"]
    if len(coefs) != len(biases) or len(coefs) != state["n_layers_"] - 1:
        raise StructureError("coefs_, intercepts_ and n_layers_ do not fit together.")
    for coef, bias in zip(coefs, biases, strict=True):
        if np.ndim(coef) != 2 or coef.shape[0] != width or np.shape(bias) != coef.shape[1:]:
            raise StructureError(
                f"coefs_ has a layer of shape {np.shape(coef)} after {width} units."
            )
        width = coef.shape[1]
    if width != state["n_outputs_"]:
        raise StructureError(f"The last layer has {width} units for {state['n_outputs_']} outputs.")


def _check_thresholds(owner: Any, state: State) -> None:
    x, y = state["X_thresholds_"], state["y_thresholds_"]
    if np.ndim(x) != 1 or np.shape(x) != np.shape(y) or not len(x) or np.any(np.diff(x) < 0):
        raise StructureError("X_thresholds_ and y_thresholds_ are no rising steps.")


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


_NETWORK: Final = "n_features_in_ n_outputs_ n_layers_ out_activation_ coefs_ intercepts_"
_STOPPING: Final = "_no_improvement_count"
_SOLVER: Final = "_random_state _optimizer _coef_indptr _intercept_indptr _layer_units"
_BEST: Final = "_best_coefs _best_intercepts"

SCHEMAS: Final = {
    "isotonic.IsotonicRegression": schema(
        "X_min_ X_max_ X_thresholds_ y_thresholds_ increasing_",
        "n_features_in_",
        rebuilt="f_",
        rebuild=_interpolate,
        check=_check_thresholds,
    ),
    "kernel_ridge.KernelRidge": schema("n_features_in_ dual_coef_ X_fit_"),
    "neural_network.MLPClassifier": schema(
        f"{_NETWORK} _label_binarizer",
        _STOPPING,
        fields={"_label_binarizer": Nested(_labels)},
        training=_SOLVER,
        rebuilt=_BEST,
        rebuild=_best,
        check=_check_layers,
    ),
    "neural_network.MLPRegressor": schema(
        _NETWORK, _STOPPING, training=_SOLVER, rebuilt=_BEST, rebuild=_best, check=_check_layers
    ),
}
