"""Laws on the objects that a backend serves, and on when its framework is imported."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

from dc_core import plugins
from dc_core.errors import NotClaimed
from dc_core.testing.backend.subject import BackendSubject
from dc_core.testing.fresh import fresh_interpreter
from dc_core.testing.suite import LawBroken, law

_IMPORTED_EARLY = """
import json, sys
from dc_core import plugins
(entry,) = plugins.BACKENDS.entries[sys.argv[1]]
package = entry.module.partition(".")[0]
if package != entry.module:
    __import__(package)
print(json.dumps([package, sys.argv[1] in sys.modules]))
"""

_WRITTEN_AT_IMPORT = """
import json, sys, warnings
from dc_core import plugins
from dc_core.testing.process import captured_output
(entry,) = plugins.BACKENDS.entries[sys.argv[1]]
package = entry.module.partition(".")[0]
with warnings.catch_warnings(record=True) as warned, captured_output() as written:
    if package != entry.module:
        __import__(package)
print(json.dumps([package, "".join([*written, *(str(each.message) for each in warned)])]))
"""


class ClaimingLaws(BackendSubject):
    """Laws on the objects that a backend serves, and on when its framework is imported."""

    @law(since="0.1")
    def test_its_own_objects_are_claimed(self) -> None:
        """The framework's objects are served by this backend and by no other."""
        for obj in (self.make(0), self.blank()):
            name = plugins.claim(obj).backend.name
            if name != self.backend:
                raise LawBroken(
                    f"A {type(obj).__name__} is served by {name!r}, not by {self.backend!r}.",
                    hint="The entry point's name must be the top-level module of the framework.",
                )

    @law(since="0.1")
    def test_strangers_are_declined(self) -> None:
        """An object that the backend does not serve is declined with NotClaimed."""
        for stranger in (object(), "text", *self.strangers()):
            holder = plugins.Claimed(plugins.backend(self.backend), stranger)
            attempts: dict[str, Callable[[], object]] = {
                "describe": holder.describe_weights,
                "export": holder.export_weights,
                "import": partial(holder.import_weights, {}),
            }
            for verb, attempt in attempts.items():
                try:
                    attempt()
                except NotClaimed:
                    continue
                raise LawBroken(
                    f"Asked to {verb} the weights of a {type(stranger).__name__}, it raised "
                    "nothing.",
                    hint="Check the type first and raise dc_core.errors.NotClaimed.",
                )

    @law(since="0.1")
    def test_nothing_is_imported_before_it_is_needed(self) -> None:
        """Importing the plugin's package does not import the framework."""
        written = fresh_interpreter(_IMPORTED_EARLY, self.backend)
        package, early = json.loads(written.splitlines()[-1])
        if early:
            raise LawBroken(
                f"'import {package}' in a fresh interpreter imported {self.backend!r}.",
                hint="Import the framework in the plugin's module, and keep the package's "
                "__init__ lazy (dc_core.lazy.attach).",
            )

    @law(since="0.1")
    def test_importing_the_package_is_silent(self) -> None:
        """Importing the plugin's package prints nothing and warns of nothing."""
        package, said = json.loads(fresh_interpreter(_WRITTEN_AT_IMPORT, self.backend))
        if said:
            raise LawBroken(
                f"'import {package}' in a fresh interpreter said {said[:200]!r}.",
                hint="Log with a logger of your own, and warn when a function is called.",
            )
