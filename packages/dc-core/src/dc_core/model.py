"""``Model``: named weights, parameters, training state, publishing and loading."""

from __future__ import annotations

from collections.abc import Collection, ItemsView, Iterator, KeysView, Mapping, ValuesView
from itertools import islice
from math import prod
from typing import Any, Final, Self

import numpy as np

from dc_core import plugins
from dc_core.component import Component
from dc_core.display import html_table
from dc_core.dtypes import dtype_name
from dc_core.errors import TrainingStateError, UnknownWeight
from dc_core.holders import import_all
from dc_core.weights import WeightInfo, model_name

_SHOWN: Final = 20
"""How many weights a notebook shows."""


class Model(Component):
    """The base class of every model, of whichever framework.

    A model is a mapping of its weights: ``model["gcn/conv1/0"]`` reads one as an array,
    ``model["gcn/conv1/0"] = array`` sets one, and iteration gives the names in a stable order.
    Names are canonical, ``<model>/<layer>/<i>``; ``weight_table()`` gives the framework's own name
    for each. Setting never casts. If it raises, the model is unchanged.
    """

    @property
    def name(self) -> str:
        """The first part of the weights' names: by default the class's name in snake case."""
        return model_name(type(self))

    def __repr__(self) -> str:
        """Return the constructor call, with a summary of the weights as a comment."""
        try:
            return f"{self.call_text()}  # {self._state()}"
        except AttributeError:  # the constructor has not finished
            return self.call_text()

    def _repr_html_(self) -> str:
        """Show the arguments, whether it is fitted, and the weights in a notebook."""
        table = self.weight_table()
        rows: list[tuple[object, ...]] = [
            (name, info.shape, dtype_name(info.dtype))
            for name, info in islice(table.items(), _SHOWN)
        ]
        if len(table) > _SHOWN:
            rows.append((f"… and {len(table) - _SHOWN} more", "", ""))
        return super()._repr_html_() + html_table(self._state(), ("weight", "shape", "dtype"), rows)

    def _state(self) -> str:
        table = self.weight_table()
        size = sum(prod(info.shape) for info in table.values())
        fitted = self._fitness()
        return (
            f"{fitted}, {len(table)} weight{'s' * (len(table) > 1)} of {size:,} numbers"
            if table
            else fitted
        )

    def _fitness(self) -> str:
        return "fitted" if self.is_fitted else "not fitted"

    def weight_table(self) -> dict[str, WeightInfo]:
        """Describe every weight by its canonical name: native name, shape, dtype, aliases."""
        prefix = f"{self.name}/"
        return {prefix + name: info for name, info in self.describe_weights().items()}

    def get_weights(self) -> dict[str, np.ndarray]:
        """Return a copy of every weight by its canonical name.

        "Weights" is everything that predictions depend on, buffers and fitted statistics included.
        """
        prefix = f"{self.name}/"
        return {prefix + name: array for name, array in self.export_weights().items()}

    def get_weight(self, name: str) -> np.ndarray:
        """Return a copy of one weight. Raises :class:`UnknownWeight`, which is a ``KeyError``."""
        (relative,) = self._relative((name,))
        if relative not in self.describe_weights():
            raise self._unknown(name)
        return self.export_weights((relative,))[relative]

    def set_weights(
        self, weights: Mapping[str, np.ndarray], allow_missing: Collection[str] = ()
    ) -> None:
        """Set all weights; those named in ``allow_missing`` may be absent and keep their values.

        Nothing is cast. Raises :class:`WeightsMismatch` if names, shapes or dtypes differ; the
        model is then unchanged.
        """
        self._relative(weights)
        arrays = {name: _without_scalars(value) for name, value in weights.items()}
        import_all(self._holders(f"{self.name}/"), arrays, allow_missing, copy=True)

    def set_weight(self, name: str, value: np.ndarray) -> None:
        """Set one weight, with the checks of :meth:`set_weights`."""
        table = self.weight_table()
        if name not in table:
            raise self._unknown(name)
        self.set_weights({name: value}, allow_missing=table)

    def __getitem__(self, name: str) -> np.ndarray:
        """Return a copy of one weight."""
        return self.get_weight(name)

    def __setitem__(self, name: str, value: np.ndarray) -> None:
        """Set one weight."""
        self.set_weight(name, value)

    def __contains__(self, name: object) -> bool:
        """Tell whether the model has a weight of that name."""
        return name in self.weight_table()

    def __iter__(self) -> Iterator[str]:
        """Iterate over the weights' names."""
        return iter(self.weight_table())

    def keys(self) -> KeysView[str]:
        """Return the weights' names; ``dict(model)`` is ``get_weights()``."""
        return self.weight_table().keys()

    def values(self) -> ValuesView[np.ndarray]:
        """Return copies of the weights, in the order of the names."""
        return self.get_weights().values()

    def items(self) -> ItemsView[str, np.ndarray]:
        """Return pairs of the weights' names and copies of the weights."""
        return self.get_weights().items()

    def __len__(self) -> int:
        """Return how many weights there are."""
        return len(self.weight_table())

    def __bool__(self) -> bool:
        """Return True, also for a model without weights."""
        return True

    def get_training_state(self) -> dict[str, np.ndarray]:
        """Return the state that resuming needs besides the weights, as named arrays.

        These are optimizer moments, schedule, step and random-number state; a model that needs none
        returns ``{}``. The names of nested models' states begin with the nested model's path.
        """
        state = {}
        for path, child in self.children().items():
            if isinstance(child, Model):
                for name, array in child.get_training_state().items():
                    state[f"{path}/{name}"] = array
        return state

    def set_training_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Set a state that :meth:`get_training_state` returned, so that training resumes exactly.

        Raises :class:`TrainingStateError` if it belongs to another model; every nested model then
        keeps the state that it had.
        """
        rest = dict(state)
        parts: list[tuple[Model, dict[str, np.ndarray]]] = []
        for path, child in self.children().items():
            if isinstance(child, Model):
                names = [name for name in rest if name.startswith(f"{path}/")]
                parts.append((child, {name[len(path) + 1 :]: rest.pop(name) for name in names}))
        if rest:
            raise TrainingStateError(
                f"{type(self).__name__} has no training state {next(iter(rest))!r}.",
                hint="The state belongs to another model.",
            )
        former: list[tuple[Model, dict[str, np.ndarray]]] = []
        try:
            for child, part in parts:
                before = child.get_training_state()
                child.set_training_state(part)
                former.append((child, before))
        except BaseException:  # Ctrl-C too
            for child, before in former:
                child.set_training_state(before)
            raise

    def check_storable(self) -> None:
        """Raise :class:`NotSerializable` if the model could not be stored, were it fitted.

        The error names the argument that is in the way. Long work asks this before it begins.
        """
        for child in self.children().values():
            if isinstance(child, Model):
                child.check_storable()

    def to_pretrained(self, where: Any, **options: Any) -> Any:
        """Publish the model to a hub under the name ``where``, or save it to a directory.

        The installed hub does the work and documents the ``options``: see ``dc_hub.publish``.
        Raises :class:`HubNotInstalled` if dc-hub is not installed.
        """
        return plugins.Pretrained().publish(self, where, options)

    @classmethod
    def from_pretrained(cls, name: Any, **options: Any) -> Self:
        """Return the stored model ``name``, which must be of this class or a subclass.

        The installed hub does the work and documents the ``options``: see
        ``dc_hub.from_pretrained``. Raises :class:`HubNotInstalled` if dc-hub is not installed.
        """
        return plugins.Pretrained().fetch(cls, name, options)

    def _relative(self, names: Collection[Any]) -> list[str]:
        prefix = f"{self.name}/"
        for name in names:
            if not isinstance(name, str) or not name.startswith(prefix):
                raise self._unknown(name)
        return [name.removeprefix(prefix) for name in names]

    def _unknown(self, name: str) -> UnknownWeight:
        return UnknownWeight(
            f"{type(self).__name__} has no weight {name!r}.",
            hint=f"Its names start with {self.name!r}; list(model) gives all of them.",
            unexpected=[name],
        )


def _without_scalars(value: Any) -> Any:
    """Return a NumPy scalar, which arithmetic on 0-d arrays gives, as a 0-d array again."""
    return np.asarray(value) if isinstance(value, np.generic) else value
