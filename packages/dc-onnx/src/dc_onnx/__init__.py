"""The ONNX backend: exported models, stored and run without their framework.

The names here are imported when first used.
"""

from typing import TYPE_CHECKING

from dc_core.lazy import attach

if TYPE_CHECKING:
    from dc_onnx.session import Session as Session

_EXPORTS = {
    "dc_onnx.session": ["Session"],
}

__all__ = sorted(name for names in _EXPORTS.values() for name in names)  # noqa: PLE0605
__getattr__, __dir__ = attach(__name__, _EXPORTS)
