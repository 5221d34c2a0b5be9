"""The laws of a backend, by subject."""

from __future__ import annotations

from dc_core.testing.backend.capabilities import CapabilityLaws
from dc_core.testing.backend.claiming import ClaimingLaws
from dc_core.testing.backend.exporting import ExportingLaws
from dc_core.testing.backend.importing import ImportingLaws
from dc_core.testing.backend.naming import NamingLaws
from dc_core.testing.backend.rejecting import RejectingLaws
from dc_core.testing.backend.special import SpecialLaws


class BackendSuite(
    ClaimingLaws,
    NamingLaws,
    ExportingLaws,
    ImportingLaws,
    RejectingLaws,
    CapabilityLaws,
    SpecialLaws,
):
    """Every law of a backend; a subclass sets ``backend`` and writes three methods.

    ``make``, ``blank`` and ``predict`` are required; ``strangers`` and the factories of special
    weights (``make_tied``, ``make_scalar``, ``make_empty``, ``make_bfloat16``) are written where
    the framework has such things, and their laws are skipped where it does not.
    """


__all__ = ["BackendSuite"]
