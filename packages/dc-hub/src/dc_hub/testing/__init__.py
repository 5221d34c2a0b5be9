"""The conformance kit for hubs: tests that the author of a kind of hub inherits.

:class:`HubSuite` is a class that pytest collects, with one test method for each law. Subclass it,
say what the hub can do, and write the methods that make it; those whose docstrings begin with
"Optional" can be left out, and so are their laws::

    from dc_hub.testing import HubSuite


    class TestMyHub(HubSuite):
        def make(self, folder): ...

        def reopen(self, hub, folder): ...

The kit needs pytest: ``pip install "dc-hub[testing]"``.
"""

from typing import TYPE_CHECKING

from dc_core.lazy import attach

if TYPE_CHECKING:
    from dc_hub.testing.suite import HubSuite as HubSuite

_EXPORTS = {"dc_hub.testing.suite": ["HubSuite"]}

__all__ = sorted(name for names in _EXPORTS.values() for name in names)  # noqa: PLE0605
__getattr__, __dir__ = attach(__name__, _EXPORTS)
