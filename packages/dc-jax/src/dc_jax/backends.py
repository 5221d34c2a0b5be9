"""The backends ``flax``, ``equinox`` and ``jax``, which differ in the objects that they serve.

None of them imports a library: whoever has an object of one has imported it.
"""

from __future__ import annotations

from typing import Any, Final

from dc_jax.hooks import Hooks
from dc_jax.libraries import is_equinox, is_flax, is_function, is_state


def _is_of_equinox(obj: Any) -> bool:
    return is_equinox(obj) or is_state(obj)


flax: Final = Hooks("modules of Flax NNX", ("flax",), is_flax)
equinox: Final = Hooks("modules of Equinox and their states", ("equinox",), _is_of_equinox)
jax: Final = Hooks("pytrees within jax.tree_util.Partial(apply, params)", (), is_function)
