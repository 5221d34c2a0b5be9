"""The JAX backend: so far, datasets as JAX arrays.

The names here are imported when first used.
"""

from typing import TYPE_CHECKING

from dc_core.lazy import attach

if TYPE_CHECKING:
    from dc_jax.loading import ArrayBatch as ArrayBatch
    from dc_jax.loading import RaggedArray as RaggedArray
    from dc_jax.loading import jax_batches as jax_batches

_EXPORTS = {
    "dc_jax.loading": ["ArrayBatch", "RaggedArray", "jax_batches"],
}

__all__ = sorted(name for names in _EXPORTS.values() for name in names)  # noqa: PLE0605
__getattr__, __dir__ = attach(__name__, _EXPORTS)
