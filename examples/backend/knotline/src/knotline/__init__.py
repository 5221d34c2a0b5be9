"""Additive regression with piecewise-linear functions."""

import math

import numpy as np


class AdditiveRegressor:
    """Predicts an intercept plus one function of each feature, linear between ``knots`` points.

    Fitting sets ``positions_`` and ``heights_``, both of shape (features, knots), and
    ``intercept_``, of shape (), all float64.
    """

    def __init__(self, knots=8, smoothing=0.1):
        if type(knots) is not int or knots < 3:
            raise ValueError(f"knots={knots!r} must be an integer of at least 3.")
        if type(smoothing) not in (int, float) or not 0 <= smoothing < math.inf:
            raise ValueError(f"smoothing={smoothing!r} must be a number that is not negative.")
        self.knots = knots
        self.smoothing = smoothing
        self.positions_ = self.heights_ = self.intercept_ = None

    def __repr__(self):
        return f"AdditiveRegressor(knots={self.knots}, smoothing={self.smoothing})"

    def fit(self, X, y):
        """Fit to X of shape (rows, features) and y of shape (rows,), and return self."""
        low, high = X.min(axis=0), X.max(axis=0)
        high = np.where(high > low, high, low + 1)
        positions = np.linspace(low, high, self.knots, axis=1)
        hats = np.eye(self.knots)
        basis = np.column_stack(
            [np.interp(X[:, j], at, hat) for j, at in enumerate(positions) for hat in hats]
        )
        bend = np.kron(np.eye(len(positions)), np.diff(hats, 2, axis=0))
        matrix = np.vstack([basis, np.sqrt(self.smoothing) * bend])
        target = np.concatenate([y - y.mean(), np.zeros(len(bend))])
        self.positions_ = positions
        self.heights_ = np.linalg.lstsq(matrix, target)[0].reshape(positions.shape)
        self.intercept_ = np.array(y.mean())
        return self

    def predict(self, X):
        """Return the predictions for X, of shape (rows,)."""
        functions = zip(self.positions_, self.heights_, strict=True)
        parts = [np.interp(X[:, j], at, height) for j, (at, height) in enumerate(functions)]
        return self.intercept_ + np.sum(parts, axis=0)
