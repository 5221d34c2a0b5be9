"""Gaussian processes: the training rows, their Cholesky factor, and the kernel's parameters."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from sklearn.base import clone
from sklearn.gaussian_process._gpc import _BinaryGaussianProcessClassifierLaplace
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier

from dc_core.errors import NotSerializable, StructureError
from dc_sklearn import values
from dc_sklearn.kinds import Classes, Floats, Integers, Number, Reals, Size
from dc_sklearn.nested import Nested
from dc_sklearn.schema import Restoring, State, Storing, schema
from dc_sklearn.slots import Reader, Slots


def _prior(owner: Any) -> Any:
    """Return the kernel before fitting.

    The bounds of the default kernel depend on the version of scikit-learn, so they are stored.
    """
    return ConstantKernel() * RBF() if owner.kernel is None else clone(owner.kernel)


class _Kernel:
    """The attribute ``kernel_``: the values of its hyperparameters, by scikit-learn's names.

    The bounds are those of the parameter ``kernel``; if that is None, they are stored too.
    """

    def encode(self, path: str, value: Any, storing: Storing) -> Slots:
        """Yield the slots of the hyperparameters."""
        prior = _prior(storing.owner)
        names = [parameter.name for parameter in value.hyperparameters]
        if type(value) is not type(prior) or names != [p.name for p in prior.hyperparameters]:
            raise NotSerializable(
                f"{path.replace('/', '.')!r} has other hyperparameters than the parameter kernel.",
                hint="Do not change the parameters of an estimator that is fitted.",
            )
        found = value.get_params()
        for name in names:
            yield from values.encode(f"{path}/{name}", found[name])
            if storing.owner.kernel is None:
                yield from values.encode(f"{path}/{name}_bounds", found[f"{name}_bounds"])

    def decode(self, reader: Reader, path: str, restoring: Restoring) -> Any:
        """Return the kernel with the stored hyperparameters."""
        kernel = _prior(restoring.owner)
        found = {}
        for parameter in kernel.hyperparameters:
            name = parameter.name
            value = values.decode(reader, f"{path}/{name}")
            if np.size(value) != parameter.n_elements or not np.all(np.isfinite(value)):
                raise StructureError(f"{path}/{name} is {value!r}, which is not a scale.")
            found[name] = value
            if restoring.owner.kernel is None:
                bounds = values.decode(reader, f"{path}/{name}_bounds")
                _check_bounds(f"{path}/{name}_bounds", bounds)
                found[f"{name}_bounds"] = bounds
        return kernel.set_params(**found)


def _check_bounds(name: str, bounds: Any) -> None:
    """Check that ``bounds`` is "fixed", or a lower and an upper limit above 0."""
    if isinstance(bounds, str) and bounds == "fixed":
        return
    if np.shape(bounds) != (2,) or not 0 < bounds[0] <= bounds[1] < np.inf:
        raise StructureError(f"{name} is {bounds!r}, which is neither 'fixed' nor two limits.")


def _binary(owner: Any, state: State) -> Any:
    """Return the classifier that ``GaussianProcessClassifier.fit`` fits."""
    binary = _BinaryGaussianProcessClassifierLaplace(
        kernel=owner.kernel,
        optimizer=owner.optimizer,
        n_restarts_optimizer=owner.n_restarts_optimizer,
        max_iter_predict=owner.max_iter_predict,
        warm_start=owner.warm_start,
        copy_X_train=owner.copy_X_train,
        random_state=owner.random_state,
    )
    if state["n_classes_"] == 2:
        return binary
    several = {"one_vs_rest": OneVsRestClassifier, "one_vs_one": OneVsOneClassifier}
    return several[owner.multi_class](binary, n_jobs=owner.n_jobs)


_KERNEL: Final = schema()

SCHEMAS: Final = {
    "gaussian_process.GaussianProcessClassifier": schema(
        {
            "n_features_in_": Size("n"),
            "classes_": Classes("classes", minimum=2),
            "n_classes_": Size("classes", 2),
            "base_estimator_": Nested(_binary),
        },
        {"log_marginal_likelihood_value_": Number()},
    ),
    "gaussian_process.GaussianProcessRegressor": schema(
        {
            "n_features_in_": Size("n"),
            "kernel_": _Kernel(),
            "X_train_": Reals("rows n"),
            "y_train_": Reals("rows") | Reals("rows targets"),
            "L_": Floats("rows rows"),
            "alpha_": Floats("rows") | Floats("rows targets"),
            "_y_train_mean": Number() | Floats("_"),
            "_y_train_std": Number() | Floats("_"),
        },
        {"log_marginal_likelihood_value_": Number()},
        training="_rng",
    ),
    "gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace": schema(
        {
            "classes_": Classes("2"),
            "kernel_": _Kernel(),
            "X_train_": Reals("rows n"),
            "y_train_": Integers("rows", minimum=0, maximum=1),
            "pi_": Floats("rows"),
            "W_sr_": Floats("rows"),
            "L_": Floats("rows rows"),
        },
        {"log_marginal_likelihood_value_": Number(), "f_cached": Floats("rows")},
        training="rng",
    ),
    "gaussian_process.kernels.ConstantKernel": _KERNEL,
    "gaussian_process.kernels.DotProduct": _KERNEL,
    "gaussian_process.kernels.Exponentiation": _KERNEL,
    "gaussian_process.kernels.ExpSineSquared": _KERNEL,
    "gaussian_process.kernels.Matern": _KERNEL,
    "gaussian_process.kernels.Product": _KERNEL,
    "gaussian_process.kernels.RBF": _KERNEL,
    "gaussian_process.kernels.RationalQuadratic": _KERNEL,
    "gaussian_process.kernels.Sum": _KERNEL,
    "gaussian_process.kernels.WhiteKernel": _KERNEL,
}
