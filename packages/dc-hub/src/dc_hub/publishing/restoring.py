"""Restore a model from the data about to be written, and compare: what publishes, loads.

Nothing is written yet. The model is restored from the very record and arrays, by the code that
loading uses and within the memory that loading may use. Where a framework can take over arrays, the
restored model shares them with the original: large weights are neither copied nor read.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from dc_core import Component, Estimator, Model, WeightHolder, byte_budget, plugins, raw_bits
from dc_hub.errors import NotSerializable
from dc_hub.format.golden import compare_golden
from dc_hub.format.tensors import check_tensors
from dc_hub.loading.opening import load_budget
from dc_hub.loading.restoring import Stored, compare, restore
from dc_hub.publishing.describing import Described, describe


def check_restores(
    model: Any,
    holder: WeightHolder,
    described: Described,
    stored: Stored,
    golden: Mapping[str, np.ndarray] | None,
    training: Mapping[str, np.ndarray] | None,
) -> Component | None:
    """Restore a model from ``stored``, and return it if it is equal to ``model``.

    Arguments, weights and the ``training`` state have to be equal, arrays bit for bit, and the
    predictions for ``golden`` rows within their tolerance. For an object that only
    :func:`dc_hub.load_weights` can load, which has to accept the weights, None is returned.

    Raises :class:`NotSerializable`.
    """
    name = stored.place
    try:
        with _untouched_rng(), byte_budget(load_budget(_size(stored, golden, training))):
            stored.check_agreement()
            if not can_be_built(holder, described):
                compare(stored, holder, (), {})
                return None
            restored = restore(stored, type(model) if isinstance(model, Component) else Model)
            if isinstance(model, Component):
                _check_equal(described, stored, restored, restored)
                _check_classes(name, model, restored)
            else:
                native = plugins.claim(restored.native)
                _check_equal(described, stored, native.obj, native)
            if golden is not None:
                _check_predictions(name, restored, golden)
            if training is not None and isinstance(restored, Model):
                _check_training_state(name, restored, training)
            return restored
    except (MemoryError, NotSerializable):
        raise
    except Exception as error:
        reason = error.args[0] if error.args else error
        raise NotSerializable(
            f"{name} could be written but not loaded again: {type(error).__name__}: {reason}",
            path=name,
            hint="Nothing was written. Its class has to accept the arguments that "
            "get_parameters() returns and the weights that export_weights() returns.",
        ) from error


def can_be_built(holder: WeightHolder, described: Described) -> bool:
    """Tell whether ``from_pretrained`` can load the object; ``load_weights`` can load any."""
    if isinstance(holder, plugins.Claimed):
        return described.cls is not None and holder.backend.supports("wrap")
    return True


def _check_equal(described: Described, stored: Stored, obj: Any, holder: WeightHolder) -> None:
    """Raise unless ``obj``, which was restored, has the stored arguments and weights."""
    name, again = stored.place, describe(obj, holder)
    changed = [
        argument
        for argument in {**described.params, **again.params}
        if described.params.get(argument) != again.params.get(argument)
    ]
    changed += _differing(described.arrays, again.arrays)
    if changed:
        raise NotSerializable(
            f"{name}, loaded again, has another value for its argument {changed[0]}.",
            path=changed[0],
            hint="Nothing was written. get_parameters() has to return what the constructor takes.",
        )
    weights = {relative: stored.weights[w.native] for relative, w in stored.by_name.items()}
    different = _differing(weights, holder.export_weights(copy=False))
    if different:
        raise NotSerializable(
            f"{name}, loaded again, has other values for its weight {different[0]!r}.",
            path=different[0],
            hint="Nothing was written. import_weights() has to set what export_weights() returns.",
        )


def _check_classes(name: str, model: Component, restored: Component) -> None:
    known, again = (c.classes if isinstance(c, Estimator) else {} for c in (model, restored))
    if dict(known) != dict(again):
        raise NotSerializable(
            f"{name}, loaded again, has other classes.",
            path=name,
            hint="Nothing was written. set_classes() has to set what classes returns.",
        )


def _check_predictions(name: str, restored: Component, golden: Mapping[str, np.ndarray]) -> None:
    result = compare_golden(restored, golden, name)
    if not result.passed:
        raise NotSerializable(
            f"{name}, loaded again, gives other predictions for the golden rows: they differ by up "
            f"to {result.max_difference:.3g}.",
            path=name,
            hint="Nothing was written. Whatever predictions depend on has to be an argument of the "
            "constructor or a weight (named in `fitted`, or held by `native`).",
        )


def _check_training_state(name: str, restored: Model, training: Mapping[str, np.ndarray]) -> None:
    restored.set_training_state(training)
    different = _differing(training, check_tensors(restored.get_training_state()))
    if different:
        raise NotSerializable(
            f"{name}, loaded again, has another training state {different[0]!r}.",
            path=different[0],
            hint="Nothing was written. set_training_state() has to set what get_training_state() "
            "returns.",
        )


def _differing(arrays: Mapping[str, np.ndarray], others: Mapping[str, np.ndarray]) -> list[str]:
    """Return the names under which the arrays differ in shape, dtype or any bit."""
    return [
        name
        for name in {**arrays, **others}
        if name not in arrays or name not in others or not _same_bits(arrays[name], others[name])
    ]


def _same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.ctypes.data == b.ctypes.data and a.strides == b.strides:
        return True
    return np.array_equal(raw_bits(a), raw_bits(b))


def _size(stored: Stored, *others: Mapping[str, np.ndarray] | None) -> int:
    """Return about the size of the model's files in bytes, and not more."""
    return sum(a.nbytes for arrays in (stored.weights, *others) for a in (arrays or {}).values())


@contextmanager
def _untouched_rng() -> Iterator[None]:
    """Restore the generators of Python and NumPy, from which constructors may draw."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
