"""Classifiers with calibrated probabilities, or with another threshold of decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from sklearn.base import clone
from sklearn.calibration import _CalibratedClassifier, _SigmoidCalibration
from sklearn.isotonic import IsotonicRegression
from sklearn.svm import LinearSVC

from dc_core.errors import NotSerializable, StructureError
from dc_sklearn import values
from dc_sklearn.kinds import Classes, Floats, Number, Record, Size
from dc_sklearn.nested import Nested, NestedList
from dc_sklearn.schema import Field, Restoring, State, Storing, schema
from dc_sklearn.slots import Reader, Slots


def _classifier(owner: Any, state: State) -> Any:
    """Return the classifier whose probabilities are calibrated; the default is a linear one."""
    return LinearSVC(random_state=0) if owner.estimator is None else clone(owner.estimator)


def _calibrators(owner: Any, n: int) -> Sequence[Any]:
    """Return n calibrators of the parameter ``method``."""
    if owner.method == "sigmoid":
        return [_SigmoidCalibration() for _ in range(n)]
    if owner.method == "isotonic":
        return [IsotonicRegression(out_of_bounds="clip") for _ in range(n)]
    from sklearn.calibration import _TemperatureScaling  # of newer versions alone

    return [_TemperatureScaling() for _ in range(n)]


class _CalibratedClassifiers:
    """The attribute ``calibrated_classifiers_``: pairs of a classifier and its calibrators.

    ``list/0`` is their number, and they lie at ``<i>/estimator`` and ``<i>/calibrators``.
    """

    _estimator: Final = Nested(_classifier)
    _calibrators: Final = NestedList(_calibrators)

    def encode(self, path: str, value: Any, storing: Storing) -> Slots:
        """Yield the slots of the pairs."""
        yield f"{path}/list/0", values.count(len(value))
        for i, pair in enumerate(value):
            if pair.method != storing.owner.method or not np.array_equal(
                pair.classes, storing.owner.classes_
            ):
                raise NotSerializable(
                    f"{path}/{i} has another method or other classes than its owner.",
                    hint="Do not change the parameters of an estimator that is fitted.",
                )
            yield from self._estimator.encode(f"{path}/{i}/estimator", pair.estimator, storing)
            yield from self._calibrators.encode(
                f"{path}/{i}/calibrators", pair.calibrators, storing
            )

    def decode(self, reader: Reader, path: str, restoring: Restoring) -> list[Any]:
        """Return the pairs, checked to have a calibrator for each class at most."""
        owner, classes = restoring.owner, restoring.state["classes_"]
        length = reader.take_length(f"{path}/list/0")
        if not length:
            raise StructureError(f"{path!r} holds no classifier.")
        most = 1 if owner.method == "temperature" or len(classes) == 2 else len(classes)
        pairs = []
        for i in range(length):
            estimator = self._estimator.decode(reader, f"{path}/{i}/estimator", restoring)
            found = self._calibrators.decode(reader, f"{path}/{i}/calibrators", restoring)
            if estimator is None or not 0 < len(found) <= most:
                raise StructureError(f"{path}/{i} does not calibrate {len(classes)} classes.")
            pairs.append(
                _CalibratedClassifier(estimator, found, classes=classes, method=owner.method)
            )
        return pairs


def _decider(owner: Any, state: State) -> Any:
    return clone(owner.estimator)


def _scorer(owner: Any, state: State) -> State:
    """Make the scorer again that the threshold was chosen by."""
    return {"_curve_scorer": owner._get_curve_scorer()}


_FEATURES: Final[Mapping[str, Field]] = {"n_features_in_": Size("n")}
_DECIDER: Final[Mapping[str, Field]] = {"estimator_": Nested(_decider)}

SCHEMAS: Final = {
    "calibration.CalibratedClassifierCV": schema(
        {
            "classes_": Classes("classes", minimum=2),
            "calibrated_classifiers_": _CalibratedClassifiers(),
        },
        _FEATURES,
    ),
    "calibration._SigmoidCalibration": schema({"a_": Number(), "b_": Number()}),
    "calibration._TemperatureScaling": schema({"beta_": Number() | Floats("")}),
    "model_selection.FixedThresholdClassifier": schema(_DECIDER, _FEATURES),
    "model_selection.TunedThresholdClassifierCV": schema(
        {**_DECIDER, "best_threshold_": Number()},
        {
            **_FEATURES,
            "best_score_": Number(),
            "cv_results_": Record(
                {"thresholds": Floats("thresholds"), "scores": Floats("thresholds")}
            ),
        },
        rebuilt="_curve_scorer",
        rebuild=_scorer,
    ),
}
