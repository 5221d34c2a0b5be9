"""The base of models, featurizers, transformers and metrics: parameters and weights.

A :class:`Component` records its constructor's arguments and holds its fitted state as named arrays.
An argument may be another component, whose weights then belong to the composite too, under the
argument's name. Storing, comparing and rebuilding need nothing else.

A component's weights are those of ``native``, an object of a framework whose backend reads its
arrays, of the attributes named in ``fitted``, and of its nested components; see
:mod:`dc_core.holders`.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator, Mapping
from typing import Any, ClassVar, Final, Self, final

import numpy as np

from dc_core import parameters, plugins
from dc_core.calls import explained
from dc_core.display import html_table, value_text
from dc_core.errors import MissingParameter, NotClaimed, NotSerializable, ParameterError
from dc_core.holders import (
    FittedAttribute,
    NativeObject,
    WeightHolder,
    describe_all,
    divide,
    import_all,
)
from dc_core.weights import WeightInfo

_CHILDREN: Final = "_dc_children"

_CALLED: Final = (
    "act",
    "adapt",
    "batches",
    "embed",
    "evaluate",
    "featurize",
    "fit",
    "learn",
    "load",
    "meta_fit",
    "predict",
    "predict_distribution",
    "predict_structure",
    "sample",
    "split",
    "transform",
    "untransform",
    "untransform_deviation",
)
"""The methods that users call: arguments that do not fit them are typed errors."""


class Component:
    """A part of a model that is stored with it.

    A subclass writes an ordinary constructor. If it is fitted, it names in ``fitted`` the
    attributes that hold its fitted arrays: unset or None before fitting, and all set afterwards.
    """

    fitted: ClassVar[tuple[str, ...]] = ()
    """Names of the attributes that hold this class's own fitted arrays."""

    class_version: ClassVar[int] = 1
    """The version of the stored form: raise it when that changes, and extend :meth:`upgrade`."""

    backend: str | None = None
    """The backend of this component's ``native``, by its entry point's name in ``dc.backends.v1``.

    A class whose instances all need the same backend names it, and stored models name it too. A
    class that several backends can serve leaves None, and its constructor sets the attribute of
    the instance. Its stored models name no backend: they load into the one that the constructor
    chooses.
    """

    requires: ClassVar[tuple[str, ...]] = ()
    """Distributions whose version the component's results depend on: ``("rdkit",)``.

    Stored models name them with their versions. Those that define the class and its bases, and what
    its backend stands on, are named anyway.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        """Explain calls that do not fit the methods which the subclass defines."""
        super().__init_subclass__(**options)
        for name in _CALLED:
            method = vars(cls).get(name)
            if inspect.isfunction(method):
                setattr(cls, name, explained(method))

    def __new__(cls, /, *args: Any, **kwargs: Any) -> Self:
        """Record the constructor's arguments."""
        self = super().__new__(cls)
        captured = None
        try:
            captured = parameters.capture(cls, args, kwargs)
        except MissingParameter:
            if args or kwargs:
                raise
            parameters.explain_bare_calls(cls)  # this may be copying or unpickling
        object.__setattr__(self, parameters.ATTRIBUTE, captured)
        return self

    @classmethod
    def upgrade(
        cls, version: int, params: dict[str, Any]
    ) -> tuple[dict[str, Any], Mapping[str, str]]:
        """Convert the arguments that an older ``version`` of the class stored.

        Returns the present constructor's arguments, and a map from stored to present weight names
        (relative ones, ``<layer>/<i>``; weights that kept their name may be left out).
        """
        return params, {}

    @property
    def native(self) -> Any:
        """The framework's object that holds this component's weights, or None.

        If the framework's objects are immutable, the class defines a setter too, because importing
        weights makes a new object.
        """
        return None

    def __repr__(self) -> str:
        """Return the constructor call that makes the component, defaults left out."""
        return self.call_text()

    def call_text(self) -> str:
        """Return the constructor call that makes the component, defaults left out."""
        if getattr(self, parameters.ATTRIBUTE, None) is None:
            return object.__repr__(self)
        arguments = parameters.given(self).items()
        texts = [f"{name}={value_text(value)}" for name, value in arguments]
        return f"{type(self).__name__}({', '.join(texts)})"

    def _repr_html_(self) -> str:
        """Show the constructor's arguments, defaults included, in a notebook."""
        captured = getattr(self, parameters.ATTRIBUTE, None) or {}
        rows = [(name, value_text(value)) for name, value in captured.items()]
        return html_table(type(self).__name__, ("parameter", "value"), rows)

    def get_parameters(self) -> dict[str, Any]:
        """Return the constructor's arguments by name, with defaults; components as they are."""
        captured = getattr(self, parameters.ATTRIBUTE, None)
        if captured is None:
            raise NotSerializable(
                f"The constructor's arguments of this {type(self).__name__} were not captured.",
                hint="Make it by calling its class.",
            )
        return {name: parameters.snapshot(value) for name, value in captured.items()}

    @property
    def is_fitted(self) -> bool:
        """Whether the component can be used: a featurizer that learns nothing always can.

        By default, whether its fitted attributes are set, its native object has weights, and its
        nested components are fitted. A class that knows better overrides this.
        """
        return (
            all(getattr(self, name, None) is not None for name in self.fitted)
            and (self.native is None or bool(plugins.claim(self.native).describe_weights()))
            and all(child.is_fitted for child in self.children().values())
        )

    def unfitted(self) -> Self:
        """Return a new component from the same constructor arguments, nested ones made anew too.

        Nothing that was fitted, trained or set since construction is in it: fitting it gives what
        fitting this one gave the first time.

        Raises :class:`NotSerializable` for an argument that holds weights of a framework and that
        its backend cannot make again, like a module that was not registered.
        """
        return parameters.construct(
            type(self), parameters.replace_leaves(self.get_parameters(), _unfitted)
        )

    def children(self) -> dict[str, Component]:
        """Return the nested components by their path in the arguments: ``transformers/0``.

        Raises :class:`ParameterError` if keys of a dictionary give two of them the same path.
        """
        # The captured containers are this component's own, so their components never change.
        found: dict[str, Component] | None = vars(self).get(_CHILDREN)
        if found is None:
            found = {}
            for path, child in _components("", getattr(self, parameters.ATTRIBUTE, None) or {}):
                if path in found:
                    raise _ambiguous(self, path)
                found[path] = child
            object.__setattr__(self, _CHILDREN, found)
        return dict(found)

    @final
    def describe_weights(self) -> dict[str, WeightInfo]:
        """Describe every weight by its relative name, without copying or allocating any.

        Raises :class:`ParameterError` if two weights would have the same name.
        """
        return describe_all(self._holders())

    @final
    def export_weights(
        self, names: Collection[str] | None = None, *, copy: bool = True
    ) -> dict[str, np.ndarray]:
        """Return weights by relative name: those in ``names``, or all.

        With ``copy=False`` the arrays may share memory with the component: do not write to them.
        """
        holders = self._holders()
        divided: Mapping[str, Collection[str] | None] = (
            dict.fromkeys(holders) if names is None else divide(holders, names)
        )
        return {
            prefix + name: array
            for prefix, part in divided.items()
            for name, array in holders[prefix].export_weights(part, copy=copy).items()
        }

    @final
    def import_weights(
        self,
        weights: Mapping[str, np.ndarray],
        allow_missing: Collection[str] = (),
        *,
        copy: bool = True,
    ) -> Self:
        """Set ``weights`` by relative name, all or nothing, and return the component itself.

        Names, shapes and dtypes must equal the component's. A part that is not fitted takes its
        complete fitted state, or stays as it is. With ``copy=False`` the component may keep the
        arrays themselves, so that a memory-mapped file stays mapped.

        Raises :class:`WeightsMismatch` or :class:`StructureError`, and is then unchanged.
        """
        import_all(self._holders(), weights, allow_missing, copy=copy)
        return self

    def _holders(self, prefix: str = "") -> dict[str, WeightHolder]:
        """Return the holders of the weights, nested ones included, by the prefix of their names."""
        holders: dict[str, WeightHolder] = {}
        for path, child in self.children().items():
            holders |= child._holders(f"{prefix}{path}/")
        for name in self.fitted:
            if any(held.startswith(f"{prefix}{name}/") for held in holders):
                raise _ambiguous(self, name)
            holders[f"{prefix}{name}/"] = FittedAttribute(self, name)
        if self.native is not None:
            holders[prefix] = NativeObject(self, plugins.claim(self.native))
        return holders


_PLAIN: Final = frozenset({bool, bytes, float, int, str, type(None)})
"""Types of arguments that contain no components."""


def _components(path: str, value: Any) -> Iterator[tuple[str, Component]]:
    if isinstance(value, Component):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            # Most arguments are plain, and a generator for each takes time.
            if type(item) in _PLAIN:
                continue
            yield from _components(f"{path}/{key}" if path else str(key), item)
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _components(f"{path}/{i}", item)


def _unfitted(value: Any) -> Any:
    """Return ``value`` as it was before fitting: objects with weights are made anew."""
    if isinstance(value, Component):
        return value.unfitted()
    captured = parameters.captured_by(value)
    if captured is not None:
        return parameters.construct(type(value), parameters.replace_leaves(captured, _unfitted))
    try:
        claimed = plugins.claim(value)
        described = claimed.backend.describe_component(value)
        if described is None:
            claimed.describe_weights()
    except NotClaimed:
        return value  # neither a framework's object nor anything with weights
    if described is None:
        raise NotSerializable(
            f"This {type(value).__name__} cannot be made anew: its constructor's arguments are "
            "not known.",
            hint="Register its class: @dc_core.register_component('mylab/net').",
        )
    name, params = described
    return claimed.backend.build_component(name, parameters.replace_leaves(params, _unfitted))


def _ambiguous(component: Component, path: str) -> ParameterError:
    return ParameterError(
        f"Two parts of {type(component).__name__} would both name their weights {path!r}.",
        hint="Rename the key of the dictionary or the fitted attribute.",
    )
