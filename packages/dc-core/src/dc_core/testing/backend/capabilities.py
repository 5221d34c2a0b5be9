"""Laws on what a backend declares that it can do."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from importlib import metadata

from dc_core import plugins
from dc_core.errors import Unsupported
from dc_core.model import Model
from dc_core.plugins import CAPABILITIES
from dc_core.testing.backend.subject import BackendSubject, expect_same, expect_same_prediction
from dc_core.testing.suite import LawBroken, law, skip


class CapabilityLaws(BackendSubject):
    """Laws on what a backend declares that it can do."""

    @law(since="0.1")
    def test_declared_capabilities_are_those_implemented(self) -> None:
        """The declared capabilities are exactly those whose hooks are implemented."""
        served = plugins.backend(self.backend)
        declared = served.info().capabilities
        unknown = sorted(set(declared) - set(CAPABILITIES))
        if unknown:
            raise LawBroken(
                f"There is no capability {unknown[0]!r}.",
                hint=f"Choose from: {', '.join(CAPABILITIES)}.",
            )
        for capability, hooks in CAPABILITIES.items():
            if (capability in declared) != served.supports(capability):
                raise LawBroken(
                    f"It declares {capability!r} and lacks a hook."
                    if capability in declared
                    else f"It implements {capability!r} and does not declare it.",
                    hint=f"Implement all of {', '.join(hooks)} and declare the capability in "
                    "dc_backend_info, or neither.",
                )

    @law(since="0.1")
    def test_declared_versions_are_installed(self) -> None:
        """The declared versions are those of installed distributions."""
        versions = plugins.backend(self.backend).info().versions
        if not versions:
            raise LawBroken(
                "It declares no versions.",
                hint='Map each distribution to its version: {"torch": "2.9.0"}. Models store it.',
            )
        for distribution, declared in versions.items():
            installed = _installed(distribution)
            if declared not in installed:
                raise LawBroken(
                    f"It declares {distribution} {declared}; installed is "
                    f"{' and '.join(sorted(installed)) or 'no distribution of that name'}.",
                    hint=f"Use importlib.metadata.version({distribution!r}).",
                )

    @law(since="0.1")
    def test_undeclared_capabilities_raise_unsupported(self) -> None:
        """A capability that is not declared raises Unsupported."""
        served = plugins.backend(self.backend)
        attempts: dict[str, Callable[[], object]] = {
            "components": lambda: served.build_component(f"{self.backend}/Nothing", {}),
            "wrap": lambda: served.wrap(self.make(0)),
        }
        for capability, attempt in attempts.items():
            if capability in served.info().capabilities:
                continue
            try:
                attempt()
            except Unsupported:
                continue
            raise LawBroken(
                f"{capability!r} is not declared, but it works.",
                hint="Declare it, or remove its hooks.",
            )

    @law(since="0.1")
    def test_a_skeleton_takes_the_weights(self) -> None:
        """A skeleton given the original's weights equals the original."""
        obj, served = self.make(0), plugins.backend(self.backend)
        for copy in (True, False):
            skeleton = served.skeleton(self.blank)
            if type(skeleton) is not type(obj):
                raise LawBroken(
                    f"The skeleton is a {type(skeleton).__name__}, not a {type(obj).__name__}.",
                    hint="dc_skeleton returns what build() returns.",
                )
            if self.describe(skeleton) != self.describe(self.blank()):
                raise LawBroken(
                    "The skeleton and blank() have different descriptions.",
                    hint="Names, shapes and dtypes are compared before anything is allocated.",
                )
            skeleton = self.load(skeleton, self.export(obj), copy=copy)
            when = f"A skeleton loaded with copy={copy}"
            hint = "Materialise every weight on import."
            expect_same(self.export(obj), self.export(skeleton), when, hint)
            expect_same_prediction(self.predict(obj), self.predict(skeleton), when, hint)

    @law(since="0.1")
    def test_building_a_skeleton_has_no_side_effects(self) -> None:
        """Building a skeleton, even if it fails, does not affect objects made later."""
        served = plugins.backend(self.backend)

        def fail() -> object:
            raise _Deliberate

        before = self.export(self.make(0))
        served.skeleton(self.blank)
        hint = "Undo in `finally` what dc_skeleton changes during build()."
        expect_same(before, self.export(self.make(0)), "After a skeleton was built", hint)
        with suppress(_Deliberate):
            served.skeleton(fail)
        expect_same(before, self.export(self.make(0)), "After a skeleton failed to build", hint)

    @law(since="0.1")
    def test_wrapping_gives_a_model_with_the_same_weights(self) -> None:
        """A wrapped object is a Model with the object's weights."""
        served, obj = plugins.backend(self.backend), self.make(0)
        if "wrap" not in served.info().capabilities:
            skip("the backend does not declare wrap")
        model = served.wrap(obj)
        if not isinstance(model, Model):
            raise LawBroken(
                f"It is a {type(model).__name__}.", hint="dc_wrap returns a dc_core.Model."
            )
        arrays = sorted(array.tobytes() for array in self.export(obj).values())
        wrapped = sorted(array.tobytes() for array in model.get_weights().values())
        if arrays != wrapped:
            raise LawBroken(
                f"The {len(wrapped)} weights of the model are not the object's {len(arrays)}.",
                hint="Return the object as `native`, and add no weights to it.",
            )


def _installed(distribution: str) -> set[str]:
    """Return the versions of a distribution, or of those that provide a module of its name.

    Frameworks are also distributed under other names: tensorflow-cpu, xgboost-cpu.
    """
    try:
        return {metadata.version(distribution)}
    except metadata.PackageNotFoundError:
        providers = metadata.packages_distributions().get(distribution.replace("-", "_"), [])
        return {metadata.version(provider) for provider in providers}


class _Deliberate(Exception):
    """Raised by a build function that fails on purpose."""
