"""Compositions: pipelines, unions, votes, stacks, bags, chains, one estimator per output."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import BaggingClassifier, BaggingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeCV
from sklearn.preprocessing import FunctionTransformer, LabelBinarizer, LabelEncoder
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils import Bunch

from dc_core.errors import NotSerializable, StructureError
from dc_sklearn import values
from dc_sklearn.nested import Nested, NestedList
from dc_sklearn.schema import Restoring, Schema, State, Storing, schema
from dc_sklearn.slots import Reader, Slots


def _named(pairs: Sequence[tuple[Any, ...]]) -> Mapping[str, Any]:
    """Return the estimators of ``(name, estimator, …)`` tuples by name."""
    for name, *_ in pairs:
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
    # The chains of scikit-learn before 1.7 call it base_estimator.
    base = owner.estimator if hasattr(owner, "estimator") else owner.base_estimator
    return [clone(base) for _ in range(n)]


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
    """Return the estimator that a bag or a boosted ensemble repeats, by default a tree."""
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
    seen = state["estimators_features_"]
    if not isinstance(seen, list) or len(seen) != len(state["estimators_"]):
        raise StructureError("estimators_features_ does not hold one array per estimator.")
    for columns in seen:
        if np.ndim(columns) != 1 or columns.dtype.kind not in "iu":
            raise StructureError("estimators_features_ does not hold indices of features.")


def _check_votes(owner: Any, state: State) -> None:
    if np.ndim(state["estimator_weights_"]) != 1 or len(state["estimator_weights_"]) < len(
        state["estimators_"]
    ):
        raise StructureError("estimator_weights_ does not hold one weight per estimator.")


def _voting(required: str = "", **fields: Any) -> Schema:
    return schema(
        f"estimators_ {required}",
        "_n_feature_outs",
        fields={"estimators_": NestedList(_members), **fields},
        rebuilt="named_estimators_",
        rebuild=_by_name,
    )


def _bagging(required: str = "") -> Schema:
    return schema(
        f"n_features_in_ estimators_features_ {required} estimators_",
        "_n_samples _max_samples _max_features _sample_weight _seeds",
        fields={"estimators_": NestedList(_bases)},
        rebuilt="estimator_",
        rebuild=_base_estimator,
        check=_check_bag,
    )


def _boosting(required: str = "") -> Schema:
    return schema(
        f"n_features_in_ estimator_weights_ {required} estimators_",
        fields={"estimators_": NestedList(_bases)},
        rebuilt="estimator_",
        rebuild=_base_estimator,
        check=_check_votes,
    )


class _Transformers:
    """The attribute ``transformers_`` of a ``ColumnTransformer``: (name, estimator, columns).

    An estimator without columns is not fitted, and has no weights.
    """

    def encode(self, path: str, value: Any, storing: Storing) -> Slots:
        """Yield the slots of each transformer and of its columns."""
        yield f"{path}/list/0", values.count(len(value))
        for i, (name, part, columns) in enumerate(value):
            field = Nested(_for_columns(name), ("drop", "passthrough"))
            yield from field.encode(f"{path}/{i}/estimator", part, storing)
            yield from values.encode(f"{path}/{i}/columns", columns)

    def decode(self, reader: Reader, path: str, restoring: Restoring) -> Any:
        """Return the transformers; their names and order are those of the parameters."""
        owner, state = restoring.owner, restoring.state
        names = [name for name, *_ in owner.transformers] + ["remainder"]
        length = reader.take_length(f"{path}/list/0")
        if length not in (len(names), len(names) - 1):
            raise StructureError(f"{path!r} holds {length} transformers for {len(names) - 1}.")
        found = []
        for i, name in enumerate(names[:length]):
            prototype, at = _for_columns(name), f"{path}/{i}/estimator"
            part = (
                Nested(prototype, ("drop", "passthrough")).decode(reader, at, restoring)
                if reader.holds(at)
                else prototype(owner, state)
            )
            if isinstance(part, str) and part != _parameter(owner, name):
                raise StructureError(f"{path!r} has {part!r} for the transformer {name!r}.")
            found.append((name, part, values.decode(reader, f"{path}/{i}/columns")))
        return found


class _Remainder:
    """The attribute ``_remainder``: what is to happen to the columns that no transformer takes."""

    def encode(self, path: str, value: Any, storing: Storing) -> Slots:
        """Yield the slots of the columns."""
        return values.encode(path, value[2])

    def decode(self, reader: Reader, path: str, restoring: Restoring) -> Any:
        """Return the remainder's name, estimator and columns."""
        return ("remainder", restoring.owner.remainder, values.decode(reader, path))


def _for_columns(name: str) -> Callable[[Any, State], Any]:
    """Return the prototype of the transformer ``name`` of a ``ColumnTransformer``."""

    def prototype(owner: Any, state: State) -> Any:
        given = _parameter(owner, name)
        if given == "passthrough":
            return FunctionTransformer(
                accept_sparse=True, check_inverse=False, feature_names_out="one-to-one"
            )
        return None if isinstance(given, str) else clone(given)

    return prototype


def _parameter(owner: Any, name: str) -> Any:
    """Return what the parameters of a ``ColumnTransformer`` give as the transformer ``name``."""
    given = {n: part for n, part, *_ in owner.transformers} | {"remainder": owner.remainder}
    return given[name]


_OUTPUTS: Final = {"estimators_": NestedList(_copies)}
_LABELS: Final = {"_label_encoder": Nested(_classes)}

SCHEMAS: Final = {
    "compose.ColumnTransformer": schema(
        "n_features_in_ transformers_ _columns _remainder _transformer_to_input_indices "
        "output_indices_ sparse_output_",
        "_n_features _feature_names_in _transformers_feature_names_out",
        fields={"transformers_": _Transformers(), "_remainder": _Remainder()},
    ),
    "compose.TransformedTargetRegressor": schema(
        "regressor_ transformer_",
        "_training_dim",
        fields={
            "regressor_": Nested(_target_regressor),
            "transformer_": Nested(_target_transformer),
        },
    ),
    "ensemble.AdaBoostClassifier": _boosting("classes_ n_classes_"),
    "ensemble.AdaBoostRegressor": _boosting(),
    "ensemble.BaggingClassifier": _bagging("classes_ n_classes_"),
    "ensemble.BaggingRegressor": _bagging(),
    "ensemble.StackingClassifier": _voting(
        "stack_method_ classes_ final_estimator_ _label_encoder",
        final_estimator_=Nested(_final_classifier),
        **_LABELS,
    ),
    "ensemble.StackingRegressor": _voting(
        "stack_method_ final_estimator_", final_estimator_=Nested(_final_regressor)
    ),
    "ensemble.VotingClassifier": _voting("classes_ le_", le_=Nested(_classes)),
    "ensemble.VotingRegressor": _voting(),
    "multiclass.OneVsOneClassifier": schema(
        "n_features_in_ classes_ estimators_", "pairwise_indices_", fields=_OUTPUTS
    ),
    "multiclass.OneVsRestClassifier": schema(
        "label_binarizer_ estimators_",
        "n_features_in_",
        fields={**_OUTPUTS, "label_binarizer_": Nested(_bits)},
    ),
    "multioutput.ClassifierChain": schema(
        "order_ classes_ estimators_", "n_features_in_", fields=_OUTPUTS
    ),
    "multioutput.MultiOutputClassifier": schema(
        "classes_ estimators_", "n_features_in_", fields=_OUTPUTS
    ),
    "multioutput.MultiOutputRegressor": schema("estimators_", "n_features_in_", fields=_OUTPUTS),
    "multioutput.RegressorChain": schema("order_ estimators_", "n_features_in_", fields=_OUTPUTS),
    "pipeline.FeatureUnion": schema("", "n_features_in_", parts=_union, adopt=_adopt_union),
    "pipeline.Pipeline": schema(parts=_steps),
}
