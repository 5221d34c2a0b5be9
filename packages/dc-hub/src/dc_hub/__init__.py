"""Where models live: a verified on-disk format, publishing, and ``from_pretrained``.

Everything public is named here and imported when first used: ``import dc_hub`` loads neither NumPy
nor any framework.
"""

from typing import TYPE_CHECKING

from dc_core.lazy import attach

if TYPE_CHECKING:
    from dc_hub import errors as errors
    from dc_hub.copying import publish_directory as publish_directory
    from dc_hub.difference import Change as Change
    from dc_hub.difference import Difference as Difference
    from dc_hub.difference import diff as diff
    from dc_hub.errors import HubError as HubError
    from dc_hub.errors import HubWarning as HubWarning
    from dc_hub.golden import CheckResult as CheckResult
    from dc_hub.golden import Golden as Golden
    from dc_hub.hub import Hub as Hub
    from dc_hub.hub import LocalHub as LocalHub
    from dc_hub.hub import Published as Published
    from dc_hub.hub import open_hub as open_hub
    from dc_hub.inspecting import Info as Info
    from dc_hub.inspecting import StoredArray as StoredArray
    from dc_hub.inspecting import check as check
    from dc_hub.inspecting import info as info
    from dc_hub.inspecting import verify as verify
    from dc_hub.loading import from_pretrained as from_pretrained
    from dc_hub.loading import load as load
    from dc_hub.loading import load_weights as load_weights
    from dc_hub.pins import pin as pin
    from dc_hub.pins import read_pins as read_pins
    from dc_hub.saving import publish as publish
    from dc_hub.saving import save as save
    from dc_hub.tensors import TensorFile as TensorFile
    from dc_hub.tensors import read_tensors as read_tensors
    from dc_hub.tensors import write_tensors as write_tensors

_EXPORTS = {
    "dc_hub.copying": ["publish_directory"],
    "dc_hub.difference": ["Change", "Difference", "diff"],
    "dc_hub.errors": ["HubError", "HubWarning", "errors"],
    "dc_hub.golden": ["CheckResult", "Golden"],
    "dc_hub.hub": ["Hub", "LocalHub", "Published", "open_hub"],
    "dc_hub.inspecting": ["Info", "StoredArray", "check", "info", "verify"],
    "dc_hub.loading": ["from_pretrained", "load", "load_weights"],
    "dc_hub.pins": ["pin", "read_pins"],
    "dc_hub.saving": ["publish", "save"],
    "dc_hub.tensors": ["TensorFile", "read_tensors", "write_tensors"],
}

__all__ = sorted(name for names in _EXPORTS.values() for name in names)  # noqa: PLE0605
__getattr__, __dir__ = attach(__name__, _EXPORTS)
