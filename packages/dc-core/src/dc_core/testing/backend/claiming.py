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


class ClaimingLaws(BackendSubject):
    """Laws on the objects that a backend serves, and on when its framework is imported."""

    @law
    def test_its_own_objects_are_claimed(self) -> None:
        """The framework's objects are served by this backend and by no other."""
        for obj in (self.make(0), self.blank()):
            name = plugins.claim(obj).backend.name
            if name != self.backend:
                raise LawBroken(
                    f"A {type(obj).__name__} is served by {name!r}, not by {self.backend!r}.",
                    hint="The entry point's name must be the top-level module of the framework.",
                )

    @law
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

    @law
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
