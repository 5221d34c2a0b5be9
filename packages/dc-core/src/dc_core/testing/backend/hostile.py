"""The law on hostile weights: they end, exhaust or delay no process."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

from dc_core.testing import hostile
from dc_core.testing.backend.subject import BackendSubject
from dc_core.testing.fresh import suite_file
from dc_core.testing.suite import LawBroken, law, skip

_logger = logging.getLogger(__name__)


class HostileLaws(BackendSubject):
    """The law on hostile weights: they end, exhaust or delay no process."""

    @law(since="0.1")
    def test_hostile_weights_never_crash_or_hang(self) -> None:
        """Weights with changed numbers and forms are refused, or imported exactly, in bounds."""
        cls: type[Any] = type(self)
        if cls.corrupt is BackendSubject.corrupt:
            skip("the suite has no corrupt")
        file = suite_file(cls)
        counts: Counter[str] = Counter()
        for case in hostile.attack(cls, range(self.hostile_cases), seed=0):
            counts[case.outcome] += 1
            if case.outcome in hostile.FAULTS:
                raise LawBroken(
                    f"Case {case.number} ended with: {case.outcome} ({case.detail}).",
                    hint="Check the structure before the framework sees it. Run: python -m "
                    f"dc_core.testing.hostile {file}::{cls.__qualname__} --first {case.number}",
                )
        _logger.info("%s: %s", cls.__name__, hostile.counted(counts))
