"""Metrics of predictions, and how certain they are.

Regression metrics take predictions ``(n,)``. Classification metrics take probabilities
``(n, classes)`` of the classes 0, 1, …, or ``(n,)`` of class 1. Calibration of regression takes
``(n, 2)``: means and standard deviations. A metric that is undefined for its rows (a single class,
a constant y) is NaN.

A weight of 2 counts a row twice, in all of them but MaxError, and only the ratios of weights
matter. A resample of a bootstrap is therefore a weighting of the same rows, and
:meth:`~dc_pipeline.metrics.weighted.WeightedMetric.compute_weighted` scores many at once.
"""
