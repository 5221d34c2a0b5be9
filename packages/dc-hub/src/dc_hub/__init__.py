"""Where models live: a verified on-disk format, publishing, and ``from_pretrained``.

Every public name is exported here and imported on first use: ``import dc_hub`` loads neither NumPy
nor any framework.
"""

from typing import TYPE_CHECKING

from dc_core.lazy import attach

if TYPE_CHECKING:
    from dc_hub import errors as errors
    from dc_hub.converting.models import Conversion as Conversion
    from dc_hub.converting.models import convert as convert
    from dc_hub.errors import HubError as HubError
    from dc_hub.errors import HubWarning as HubWarning
    from dc_hub.format.golden import CheckResult as CheckResult
    from dc_hub.format.golden import Golden as Golden
    from dc_hub.format.summary import DataSource as DataSource
    from dc_hub.format.summary import Score as Score
    from dc_hub.format.summary import Summary as Summary
    from dc_hub.format.tensors import TensorFile as TensorFile
    from dc_hub.format.tensors import read_tensors as read_tensors
    from dc_hub.format.tensors import write_tensors as write_tensors
    from dc_hub.hubs.catalogue import write_index as write_index
    from dc_hub.hubs.contract import Hub as Hub
    from dc_hub.hubs.contract import StoredModel as StoredModel
    from dc_hub.hubs.local import LocalHub as LocalHub
    from dc_hub.hubs.managing import Listing as Listing
    from dc_hub.hubs.managing import delete_tag as delete_tag
    from dc_hub.hubs.managing import list_tags as list_tags
    from dc_hub.hubs.managing import ls as ls
    from dc_hub.hubs.managing import move_tag as move_tag
    from dc_hub.hubs.managing import pull as pull
    from dc_hub.hubs.managing import rm as rm
    from dc_hub.hubs.managing import set_tag as set_tag
    from dc_hub.hubs.opening import open_hub as open_hub
    from dc_hub.hubs.pins import Pin as Pin
    from dc_hub.hubs.pins import PinState as PinState
    from dc_hub.hubs.pins import check_pins as check_pins
    from dc_hub.hubs.pins import pin as pin
    from dc_hub.hubs.pins import pin_models as pin_models
    from dc_hub.hubs.pins import pull_pins as pull_pins
    from dc_hub.hubs.pins import read_lock as read_lock
    from dc_hub.hubs.pins import read_pins as read_pins
    from dc_hub.hubs.pins import update_pins as update_pins
    from dc_hub.inspecting.ancestry import Lineage as Lineage
    from dc_hub.inspecting.ancestry import Relative as Relative
    from dc_hub.inspecting.ancestry import lineage as lineage
    from dc_hub.inspecting.diagnosis import Finding as Finding
    from dc_hub.inspecting.diagnosis import diagnose as diagnose
    from dc_hub.inspecting.difference import Change as Change
    from dc_hub.inspecting.difference import Difference as Difference
    from dc_hub.inspecting.difference import WeightChange as WeightChange
    from dc_hub.inspecting.difference import diff as diff
    from dc_hub.inspecting.models import Info as Info
    from dc_hub.inspecting.models import StoredArray as StoredArray
    from dc_hub.inspecting.models import check_golden as check_golden
    from dc_hub.inspecting.models import info as info
    from dc_hub.inspecting.models import verify as verify
    from dc_hub.inspecting.searching import search as search
    from dc_hub.inspecting.signatures import signatures as signatures
    from dc_hub.inspecting.summaries import summary as summary
    from dc_hub.inspecting.verification import Verified as Verified
    from dc_hub.inspecting.verification import verify_cache as verify_cache
    from dc_hub.inspecting.verification import verify_models as verify_models
    from dc_hub.loading.models import from_pretrained as from_pretrained
    from dc_hub.loading.models import load as load
    from dc_hub.loading.models import load_weights as load_weights
    from dc_hub.publishing.bundles import Bundled as Bundled
    from dc_hub.publishing.bundles import bundle as bundle
    from dc_hub.publishing.bundles import list_bundle as list_bundle
    from dc_hub.publishing.bundles import unbundle as unbundle
    from dc_hub.publishing.directories import publish_directory as publish_directory
    from dc_hub.publishing.editing import card as card
    from dc_hub.publishing.editing import set_card as set_card
    from dc_hub.publishing.exporting import export as export
    from dc_hub.publishing.models import check_publishable as check_publishable
    from dc_hub.publishing.models import publish as publish
    from dc_hub.publishing.models import save as save
    from dc_hub.publishing.signing import sign as sign
    from dc_hub.remote.collecting import Garbage as Garbage
    from dc_hub.remote.collecting import gc as gc
    from dc_hub.site.writing import Site as Site
    from dc_hub.site.writing import write_site as write_site
    from dc_hub.trust.checking import CheckedSignature as CheckedSignature
    from dc_hub.trust.keyring import list_keys as list_keys
    from dc_hub.trust.keyring import load_key as load_key
    from dc_hub.trust.keyring import new_key as new_key
    from dc_hub.trust.keyring import remove_key as remove_key
    from dc_hub.trust.keyring import trust_key as trust_key
    from dc_hub.trust.keys import PublicKey as PublicKey

_EXPORTS = {
    "dc_hub.inspecting.verification": ["Verified", "verify_cache", "verify_models"],
    "dc_hub.remote.collecting": ["Garbage", "gc"],
    "dc_hub.converting.models": ["Conversion", "convert"],
    "dc_hub.publishing.bundles": ["Bundled", "bundle", "list_bundle", "unbundle"],
    "dc_hub.publishing.directories": ["publish_directory"],
    "dc_hub.inspecting.diagnosis": ["Finding", "diagnose"],
    "dc_hub.inspecting.difference": ["Change", "Difference", "WeightChange", "diff"],
    "dc_hub.errors": ["HubError", "HubWarning", "errors"],
    "dc_hub.format.golden": ["CheckResult", "Golden"],
    "dc_hub.format.summary": ["DataSource", "Score", "Summary"],
    "dc_hub.hubs.contract": ["Hub", "StoredModel"],
    "dc_hub.hubs.catalogue": ["write_index"],
    "dc_hub.hubs.local": ["LocalHub"],
    "dc_hub.hubs.opening": ["open_hub"],
    "dc_hub.hubs.managing": [
        "Listing",
        "delete_tag",
        "list_tags",
        "ls",
        "move_tag",
        "pull",
        "rm",
        "set_tag",
    ],
    "dc_hub.inspecting.models": ["Info", "StoredArray", "check_golden", "info", "verify"],
    "dc_hub.inspecting.ancestry": ["Lineage", "Relative", "lineage"],
    "dc_hub.inspecting.searching": ["search"],
    "dc_hub.inspecting.summaries": ["summary"],
    "dc_hub.loading.models": ["from_pretrained", "load", "load_weights"],
    "dc_hub.hubs.pins": [
        "Pin",
        "PinState",
        "check_pins",
        "pin",
        "pin_models",
        "pull_pins",
        "read_lock",
        "read_pins",
        "update_pins",
    ],
    "dc_hub.publishing.editing": ["card", "set_card"],
    "dc_hub.publishing.exporting": ["export"],
    "dc_hub.publishing.models": ["check_publishable", "publish", "save"],
    "dc_hub.publishing.signing": ["sign"],
    "dc_hub.site.writing": ["Site", "write_site"],
    "dc_hub.inspecting.signatures": ["signatures"],
    "dc_hub.trust.checking": ["CheckedSignature"],
    "dc_hub.trust.keyring": ["list_keys", "load_key", "new_key", "remove_key", "trust_key"],
    "dc_hub.trust.keys": ["PublicKey"],
    "dc_hub.format.tensors": ["TensorFile", "read_tensors", "write_tensors"],
}

__all__ = sorted(name for names in _EXPORTS.values() for name in names)  # noqa: PLE0605
__getattr__, __dir__ = attach(__name__, _EXPORTS)
