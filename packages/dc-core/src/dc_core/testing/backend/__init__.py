"""The laws of a backend, by subject."""

from __future__ import annotations

from dc_core.testing.backend.arbitrary import ArbitraryLaws
from dc_core.testing.backend.capabilities import CapabilityLaws
from dc_core.testing.backend.claiming import ClaimingLaws
from dc_core.testing.backend.components import ComponentLaws
from dc_core.testing.backend.distribution import DistributionLaws
from dc_core.testing.backend.exporting import ExportingLaws
from dc_core.testing.backend.golden import GoldenLaws
from dc_core.testing.backend.hostile import HostileLaws
from dc_core.testing.backend.importing import ImportingLaws
from dc_core.testing.backend.naming import NamingLaws
from dc_core.testing.backend.rejecting import RejectingLaws
from dc_core.testing.backend.side_effects import SideEffectLaws
from dc_core.testing.backend.special import SpecialLaws


class BackendSuite(
    ClaimingLaws,
    NamingLaws,
    ExportingLaws,
    ImportingLaws,
    RejectingLaws,
    CapabilityLaws,
    ComponentLaws,
    SpecialLaws,
    ArbitraryLaws,
    HostileLaws,
    GoldenLaws,
    SideEffectLaws,
    DistributionLaws,
):
    """Every law of a backend; a subclass sets ``backend`` and writes three methods.

    Required are ``make``, ``blank`` and ``predict``. The other factories are optional, and the laws
    that need them are skipped without them: ``strangers``, ``corrupt``, ``architectures``,
    ``golden``, ``make_tied``, ``make_scalar``, ``make_empty``, ``make_bfloat16``, ``make_large``,
    ``global_state``. Write all that make sense for the framework.
    """


__all__ = ["BackendSuite"]
