"""Fields for the random-number generators that further fitting continues from.

The state is stored as numbers and checked: NumPy's native code trusts the position in it.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from dc_core.errors import NotSerializable, StructureError
from dc_sklearn import values
from dc_sklearn.schema import Restoring, Storing
from dc_sklearn.slots import Reader, Slot, Slots

_KEY: Final = 624
"""The number of words in the state of the Mersenne Twister."""
_PARAMETER: Final = "random_state"


def state_of(name: str, generator: Any) -> tuple[np.ndarray, int, int, float]:
    """Return the state of a ``RandomState``: its key, position, and the number that it has left.

    Raises :class:`NotSerializable`, with ``name``, if it is not a Mersenne Twister.
    """
    state = generator.get_state(legacy=False)
    if state["bit_generator"] != "MT19937":
        raise NotSerializable(
            f"{name!r} is a generator of {state['bit_generator']}.",
            hint="Give an integer as random_state.",
        )
    key = state["state"]["key"].astype(np.uint32)
    return key, state["state"]["pos"], state["has_gauss"], float(state["gauss"])


def generator_of(name: str, key: Any, position: Any, has_gauss: Any, gauss: Any) -> Any:
    """Return the ``RandomState`` of a state; raise :class:`StructureError` if it is not one."""
    whole = isinstance(key, np.ndarray) and key.dtype == np.uint32 and key.shape == (_KEY,)
    if not whole or type(gauss) is not float or not np.isfinite(gauss):
        raise StructureError(f"{name!r} is not the state of a Mersenne Twister.")
    if type(position) is not int or not 0 <= position <= _KEY or has_gauss not in (0, 1):
        raise StructureError(f"The position of {name!r} is {position}, outside the state.")
    generator = np.random.RandomState()
    generator.set_state(("MT19937", key, position, has_gauss, gauss))
    return generator


class LegacyGenerator:
    """An attribute that holds a ``RandomState``: its own, the owner's parameter or NumPy's global.

    The global one, which ``random_state=None`` gives, is stored as None, and that of the parameter
    ``random_state`` as its name.
    """

    def encode(self, path: str, value: Any, storing: Storing) -> Slots:
        """Yield the slots of the generator's state."""
        if value is np.random.mtrand._rand:
            yield from values.encode(path, None)
            return
        if value is getattr(storing.owner, _PARAMETER, None):
            yield from values.encode(path, _PARAMETER)
            return
        key, position, has_gauss, gauss = state_of(path.replace("/", "."), value)
        yield f"{path}/key/0", Slot.made(key)
        yield f"{path}/position/0", Slot.made(np.array((position, has_gauss), np.int64))
        yield f"{path}/gauss/0", Slot.made(np.array(gauss))

    def decode(self, reader: Reader, path: str, restoring: Restoring) -> Any:
        """Return the generator, checked."""
        if "none" in reader.below(path):
            values.decode(reader, path)
            return np.random.mtrand._rand
        if "str" in reader.below(path):
            given = getattr(restoring.owner, _PARAMETER, None)
            if values.decode(reader, path) != _PARAMETER or not isinstance(
                given, np.random.RandomState
            ):
                raise StructureError(f"{path!r} is not the generator of the parameters.")
            return given
        key = reader.take(f"{path}/key/0", dtype=np.uint32, ndim=1)
        position = reader.take(f"{path}/position/0", dtype=np.int64, ndim=1).tolist()
        gauss = float(reader.take(f"{path}/gauss/0", dtype=np.float64, ndim=0))
        if len(position) != 2:
            raise StructureError(f"{path}/position holds {len(position)} numbers instead of two.")
        return generator_of(path, key, position[0], position[1], gauss)


class Generator:
    """An attribute that holds a ``numpy.random.Generator`` of PCG64, NumPy's default."""

    def encode(self, path: str, value: Any, storing: Storing) -> Slots:
        """Yield the slots of the generator's state."""
        state = value.bit_generator.state
        if state["bit_generator"] != "PCG64":
            raise NotSerializable(
                f"{path.replace('/', '.')!r} is a generator of {state['bit_generator']}.",
                hint="Fit it with an integer as random_state.",
            )
        words = [
            word
            for number in (state["state"]["state"], state["state"]["inc"])
            for word in (number >> 64, number & (2**64 - 1))
        ]
        numbers = np.array([*words, state["has_uint32"], state["uinteger"]], np.uint64)
        yield f"{path}/pcg64/0", Slot.made(numbers)

    def decode(self, reader: Reader, path: str, restoring: Restoring) -> Any:
        """Return the generator, checked."""
        numbers = reader.take(f"{path}/pcg64/0", dtype=np.uint64, ndim=1).tolist()
        if len(numbers) != 6 or numbers[4] > 1 or numbers[5] >= 2**32 or numbers[3] % 2 == 0:
            raise StructureError(f"{path!r} is not the state of a PCG64 generator.")
        generator = np.random.default_rng(0)
        generator.bit_generator.state = {
            "bit_generator": "PCG64",
            "state": {
                "state": numbers[0] << 64 | numbers[1],
                "inc": numbers[2] << 64 | numbers[3],
            },
            "has_uint32": numbers[4],
            "uinteger": numbers[5],
        }
        return generator
