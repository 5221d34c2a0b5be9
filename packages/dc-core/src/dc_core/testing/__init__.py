"""The conformance kit: tests that the author of a plugin or model inherits.

A suite is a class that pytest collects, with one test method for each law. Subclass
:class:`BackendSuite`, :class:`ModelSuite`, :class:`TrainerSuite` or :class:`EngineSuite` and write
the methods that make the objects under test; those whose docstrings begin with "Optional" can be
left out, and so are their laws::

    from dc_core.testing import BackendSuite


    class TestMyBackend(BackendSuite):
        backend = "myframework"

        def make(self, seed): ...

        def blank(self): ...

        def predict(self, obj): ...

The kit needs pytest: ``pip install "dc-core[testing]"``.
"""

from typing import TYPE_CHECKING

from dc_core.lazy import attach

if TYPE_CHECKING:
    from dc_core.testing.backend import BackendSuite as BackendSuite
    from dc_core.testing.engine import EngineSuite as EngineSuite
    from dc_core.testing.model import ModelSuite as ModelSuite
    from dc_core.testing.suite import LawBroken as LawBroken
    from dc_core.testing.suite import Suite as Suite
    from dc_core.testing.suite import SuiteError as SuiteError
    from dc_core.testing.suite import law as law
    from dc_core.testing.trainer import TrainerSuite as TrainerSuite

_EXPORTS = {
    "dc_core.testing.backend": ["BackendSuite"],
    "dc_core.testing.engine": ["EngineSuite"],
    "dc_core.testing.model": ["ModelSuite"],
    "dc_core.testing.suite": ["LawBroken", "Suite", "SuiteError", "law"],
    "dc_core.testing.trainer": ["TrainerSuite"],
}

__all__ = sorted(name for names in _EXPORTS.values() for name in names)  # noqa: PLE0605
__getattr__, __dir__ = attach(__name__, _EXPORTS)
