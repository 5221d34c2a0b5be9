"""Compositions: pipelines, unions, voting, stacking, bagging, chains, one estimator per output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import BaggingClassifier, BaggingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeCV
from sklearn.multiclass import OneVsRestClassifier, _ConstantPredictor
from sklearn.preprocessing import FunctionTransformer, LabelBinarizer, LabelEncoder
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils import Bunch

from dc_core.errors import NotSerializable, StructureError
from dc_sklearn.kinds import (
    MISSING,
    Classes,
    Count,
    DictOf,
    Floats,
    Integers,
    Labels,
    ListOf,
    Number,
    Reals,
    Size,
    Word,
)
from dc_sklearn.nested import Nested, NestedList
from dc_sklearn.schema import Field, Restoring, Schema, State, Storing, schema
from dc_sklearn.slots import Reader, Slots


def _named(pairs: Sequence[tuple[Any, ...]]) -> Mapping[str, Any]:
    """Return the estimators of ``(name, estimator, …)`` tuples by name."""
    for name, part, *_ in pairs:
        if isinstance(part, str) and part not in ("drop", "passthrough"):
            raise StructureError(f"The step {name!r} is {part!r}, not an estimator.")
        if "/" in name or not name:
            raise NotSerializable(
                f"The step {name!r} cannot name weights.", hint="Name it without '/'."
            )
    return {name: part for name, part, *_ in pairs if not (part is None or isinstance(part, str))}


def _steps(owner: Any) -> Mapping[str, Any]:
    return _named(owner.steps)


def _union(owner: Any) -> Mapping[str, Any]:
    """Return the transformers of a union; its ``fit`` makes one for each ``"passthrough"``."""
    return _named(
        [
            (name, _identity() if part == "passthrough" else part)
            for name, part in owner.transformer_list
        ]
    )


def _identity() -> Any:
    return FunctionTransformer(feature_names_out="one-to-one")


def _adopt_union(owner: Any, parts: Mapping[str, Any]) -> State:
    if all(part != "passthrough" for _, part in owner.transformer_list):
        return {}
    return {"transformer_list": [(name, parts.get(name, p)) for name, p in owner.transformer_list]}


def _copies(owner: Any, n: int) -> Sequence[Any]:
    return [clone(owner.estimator) for _ in range(n)]


def _members(owner: Any, n: int) -> Sequence[Any]:
    return [clone(member) for _, member in owner.estimators if member != "drop"]


def _by_name(owner: Any, state: State) -> State:
    """Return ``named_estimators_``, as the ensemble's ``fit`` makes it."""
    fitted = iter(state["estimators_"])
    named = {n: "drop" if m == "drop" else next(fitted) for n, m in owner.estimators}
    return {"named_estimators_": Bunch(**named)}


def _classes(owner: Any, state: State) -> Any:
    return LabelEncoder()


def _bits(owner: Any, state: State) -> Any:
    return LabelBinarizer(sparse_output=True)


def _final_classifier(owner: Any, state: State) -> Any:
    return LogisticRegression() if owner.final_estimator is None else clone(owner.final_estimator)


def _final_regressor(owner: Any, state: State) -> Any:
    return RidgeCV() if owner.final_estimator is None else clone(owner.final_estimator)


def _base(owner: Any) -> Any:
    """Return the base estimator of a bagged or boosted ensemble; the default is a tree."""
    if owner.estimator is not None:
        return clone(owner.estimator)
    depth = None if isinstance(owner, BaggingClassifier | BaggingRegressor) else 1
    if hasattr(owner, "predict_proba"):
        return DecisionTreeClassifier(max_depth=depth)
    return DecisionTreeRegressor(max_depth=depth and 3)


def _bases(owner: Any, n: int) -> Sequence[Any]:
    return [_base(owner) for _ in range(n)]


def _base_estimator(owner: Any, state: State) -> State:
    return {"estimator_": _base(owner)}


def _target_regressor(owner: Any, state: State) -> Any:
    return LinearRegression() if owner.regressor is None else clone(owner.regressor)


def _target_transformer(owner: Any, state: State) -> Any:
    if owner.transformer is not None:
        return clone(owner.transformer)
    return FunctionTransformer(
        func=owner.func,
        inverse_func=owner.inverse_func,
        validate=True,
        check_inverse=owner.check_inverse,
    )


def _check_bag(owner: Any, state: State) -> None:
    """Check that each estimator has an array of the features that it reads."""
    if len(state["estimators_features_"]) != len(state["estimators_"]):
        raise StructureError("estimators_features_ does not hold one array per estimator.")


def _check_votes(owner: Any, state: State) -> None:
    """Check that there are estimators, and that each has a weight."""
    if not 0 < len(state["estimators_"]) <= len(state["estimator_weights_"]):
        raise StructureError("estimator_weights_ does not hold one weight per estimator.")


def _check_stack(owner: Any, state: State) -> None:
    """Check that each estimator has the method that its predictions come from."""
    methods, members = state["stack_method_"], state["estimators_"]
    if len(methods) != len(members):
        raise StructureError("stack_method_ does not hold one method per estimator.")
    for method, member in zip(methods, members, strict=True):
        if not hasattr(member, method):
            raise StructureError(f"stack_method_ has {method!r} for {type(member).__name__}.")


def _check_order(owner: Any, state: State) -> None:
    """Check that the order of a chain is a permutation of its outputs."""
    if sorted(state["order_"].tolist()) != list(range(len(state["estimators_"]))):
        raise StructureError(f"order_ is not a permutation of {len(state['estimators_'])} outputs.")
    if hasattr(owner, "chain_method") and "chain_method_" not in state:
        raise StructureError("chain_method_ is missing.")


def _check_outputs(owner: Any, state: State) -> None:
    """Check that each output has an estimator and, if it is classified, its classes."""
    outputs = len(state["estimators_"])
    if not outputs or ("classes_" in state and len(state["classes_"]) != outputs):
        raise StructureError(f"estimators_ and classes_ do not fit {outputs} outputs.")


def _check_pairs(owner: Any, state: State) -> None:
    """Check that there is one estimator for each pair of classes."""
    k = len(state["classes_"])
    if len(state["estimators_"]) != k * (k - 1) // 2:
        raise StructureError(f"estimators_ does not hold one estimator per pair of {k} classes.")


def _check_codes(owner: Any, state: State) -> None:
    """Check that there is one estimator for each bit of the classes' codes."""
    if len(state["estimators_"]) != state["code_book_"].shape[1]:
        raise StructureError("estimators_ does not hold one estimator for each bit of code_book_.")


_METHODS: Final = Word(("predict", "predict_proba", "predict_log_proba", "decision_function"))
_NAMED: Final = NestedList(_members)
_LABELS: Final[Mapping[str, Field]] = {"classes_": Classes("classes", minimum=1)}


def _voting(
    required: Mapping[str, Field],
    optional: Mapping[str, Field] | None = None,
    members: NestedList = _NAMED,
    **rest: Any,
) -> Schema:
    return schema(
        {**required, "estimators_": members},
        optional or {},
        rebuilt="named_estimators_",
        rebuild=_by_name,
        **rest,
    )


def _stacking(required: Mapping[str, Field], **rest: Any) -> Schema:
    return _voting(
        {"stack_method_": ListOf(_METHODS), **required},
        {"_n_feature_outs": ListOf(Count())},
        check=_check_stack,
        **rest,
    )


def _bagging(
    required: Mapping[str, Field], optional: Mapping[str, Field], members: NestedList
) -> Schema:
    return schema(
        {
            "n_features_in_": Size("n"),
            "estimators_features_": ListOf(Integers("_", minimum=0, below="n")),
            **required,
            "estimators_": members,
        },
        {
            "_n_samples": Count(),
            "_max_samples": Count(),
            "_max_features": Count(),
            "_sample_weight": Reals("_") | MISSING,
            "_seeds": Integers("_"),
            "oob_score_": Number(),
            **optional,
        },
        rebuilt="estimator_",
        rebuild=_base_estimator,
        check=_check_bag,
    )


def _boosting(required: Mapping[str, Field]) -> Schema:
    return schema(
        {
            "n_features_in_": Size("n"),
            "estimator_weights_": Floats("_"),
            **required,
            "estimators_": NestedList(_bases),
        },
        {"estimator_errors_": Floats("_")},
        rebuilt="estimator_",
        rebuild=_base_estimator,
        check=_check_votes,
    )


class _Voters(NestedList):
    """The attribute ``estimators_`` of classifiers that vote with indices of the owner's classes.

    Votes are counted in an array as long as the largest of them.
    """

    def decode(self, reader: Reader, path: str, restoring: Restoring) -> list[Any]:
        """Return the estimators, whose labels must be indices of the owner's classes."""
        before = len(restoring.commits)
        members = super().decode(reader, path, restoring)
        for target, state in restoring.commits[before:]:
            _check_indices(path, target, state, len(restoring.state["classes_"]))
        return members


class _Binary(NestedList):
    """An attribute that holds classifiers of two classes each.

    scikit-learn puts a constant in the place of one whose rows are all of one class; it lies at
    ``<i>/constant``.
    """

    def encode_item(self, path: str, item: Any, prototype: Any, storing: Storing) -> Slots:
        """Yield the slots of one classifier or constant."""
        if type(item) is _ConstantPredictor:
            return storing.nested(item, f"{path}/constant")
        return super().encode_item(path, item, prototype, storing)

    def decode_item(self, reader: Reader, path: str, prototype: Any, restoring: Restoring) -> Any:
        """Return one classifier or constant."""
        if reader.holds(f"{path}/constant"):
            path, prototype = f"{path}/constant", _ConstantPredictor()
        return super().decode_item(reader, path, prototype, restoring)


class _Deciders(_Binary):
    """The attribute ``estimators_`` of a one-vs-rest classifier: each decides on one class.

    scikit-learn takes a decision's position, in all that ``decision_function`` returns, for a row
    of a sparse matrix. A second decision per row would be written beyond the matrix.
    """

    def decode(self, reader: Reader, path: str, restoring: Restoring) -> list[Any]:
        """Return the estimators, checked to make one decision per row."""
        before = len(restoring.commits)
        members = super().decode(reader, path, restoring)
        for target, state in restoring.commits[before:]:
            _check_indices(path, target, state, 2)
            shape = np.shape(state.get("coef_", ()))  # of a sparse matrix as well
            several = shape[0] if len(shape) > 1 else 1
            if isinstance(target, OneVsRestClassifier):
                several = len(state["estimators_"])
            if several != 1:
                raise StructureError(
                    f"The {type(target).__name__} in {path!r} makes {several} decisions per row."
                )
        return members


def _check_indices(path: str, target: Any, state: State, n: int) -> None:
    """Check that the labels of a nested classifier, if it is one, are indices of ``n`` classes."""
    # Gradient boosting fits its first guess, a DummyClassifier, to indices that are floats.
    kind = Reals if isinstance(target, DummyClassifier) else Integers
    if "classes_" in state and not kind("_", 0, n - 1).accepts(state["classes_"], {}):
        raise StructureError(
            f"The classes of the {type(target).__name__} in {path!r} are not indices of {n} "
            "classes."
        )


_FEATURES: Final[Mapping[str, Field]] = {"n_features_in_": Size("n")}
_OUTPUTS: Final[Mapping[str, Field]] = {"estimators_": NestedList(_copies)}
_PER_OUTPUT: Final[Mapping[str, Field]] = {"classes_": ListOf(Classes("_", minimum=1))}
_CHAIN: Final[Mapping[str, Field]] = {"order_": Integers("_")}

SCHEMAS: Final = {
    "compose.TransformedTargetRegressor": schema(
        {
            "regressor_": Nested(_target_regressor),
            "transformer_": Nested(_target_transformer),
            "_training_dim": Count(1, 2),
        }
    ),
    "ensemble.AdaBoostClassifier": _boosting({**_LABELS, "n_classes_": Size("classes")}),
    "ensemble.AdaBoostRegressor": _boosting({}),
    "ensemble.BaggingClassifier": _bagging(
        {**_LABELS, "n_classes_": Size("classes")},
        {"oob_decision_function_": Floats("_ _")},
        _Voters(_bases),
    ),
    "ensemble.BaggingRegressor": _bagging({}, {"oob_prediction_": Floats("_")}, NestedList(_bases)),
    "ensemble.StackingClassifier": _stacking(
        {
            **_LABELS,
            "final_estimator_": Nested(_final_classifier),
            "_label_encoder": Nested(_classes),
        },
        mirrored={"classes_": "_label_encoder"},
    ),
    "ensemble.StackingRegressor": _stacking({"final_estimator_": Nested(_final_regressor)}),
    "ensemble.VotingClassifier": _voting(
        {**_LABELS, "le_": Nested(_classes)},
        members=_Voters(_members),
        mirrored={"classes_": "le_"},
    ),
    "ensemble.VotingRegressor": _voting({}),
    "frozen.FrozenEstimator": schema({}, parts=lambda owner: {"estimator": owner.estimator}),
    "multiclass.OneVsOneClassifier": schema(
        {
            **_FEATURES,
            **_LABELS,
            **_OUTPUTS,
            "pairwise_indices_": ListOf(Integers("_", minimum=0, below="n")) | MISSING,
        },
        check=_check_pairs,
    ),
    "multiclass.OneVsRestClassifier": schema(
        {
            "label_binarizer_": Nested(_bits),
            **_LABELS,
            "estimators_": _Deciders(_copies),
        },
        _FEATURES,
        mirrored={"classes_": "label_binarizer_"},
    ),
    "multiclass._ConstantPredictor": schema({"y_": Reals("1")}, _FEATURES),
    "multiclass.OutputCodeClassifier": schema(
        {**_LABELS, "estimators_": _Binary(_copies), "code_book_": Floats("classes codes")},
        _FEATURES,
        check=_check_codes,
    ),
    "multioutput.ClassifierChain": schema(
        {**_CHAIN, **_PER_OUTPUT, **_OUTPUTS},
        {**_FEATURES, "chain_method_": _METHODS},
        check=_check_order,
    ),
    "multioutput.MultiOutputClassifier": schema(
        {**_PER_OUTPUT, **_OUTPUTS}, _FEATURES, check=_check_outputs
    ),
    "multioutput.MultiOutputRegressor": schema(_OUTPUTS, _FEATURES, check=_check_outputs),
    "multioutput.RegressorChain": schema({**_CHAIN, **_OUTPUTS}, _FEATURES, check=_check_order),
    "pipeline.FeatureUnion": schema(
        {},
        {**_FEATURES, "_transformers_feature_names_out": DictOf(Labels("_"))},
        parts=_union,
        adopt=_adopt_union,
    ),
    "pipeline.Pipeline": schema({}, parts=_steps),
}
