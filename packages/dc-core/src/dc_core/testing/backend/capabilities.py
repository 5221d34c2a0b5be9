"""Laws on what a backend says it can do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from dc_core import plugins
from dc_core.errors import UnknownClass, Unsupported
from dc_core.model import Model
from dc_core.plugins import CAPABILITIES
from dc_core.testing.backend.subject import BackendSubject, expect_same, expect_same_prediction
from dc_core.testing.suite import LawBroken, law, skip


class CapabilityLaws(BackendSubject):
    """Laws on what a backend says it can do."""

    @law
    def test_it_says_what_it_can_do(self) -> None:
        """The declared capabilities are exactly those whose hooks are implemented."""
        served = plugins.backend(self.backend)
        declared = served.info().capabilities
        unknown = sorted(set(declared) - set(CAPABILITIES))
        if unknown:
            raise LawBroken(
                f"{unknown[0]!r} is no capability.", hint=f"They are: {', '.join(CAPABILITIES)}."
            )
        for capability, hooks in CAPABILITIES.items():
            if (capability in declared) != served.supports(capability):
                raise LawBroken(
                    f"It {'declares' if capability in declared else 'does not declare'} "
                    f"{capability!r}, and the hooks say otherwise.",
                    hint=f"Implement all of {', '.join(hooks)}, or none, and declare it in "
                    "dc_backend_info.",
                )

    @law
    def test_it_says_what_it_stands_on(self) -> None:
        """The versions name installed distributions, each with a version."""
        versions: object = plugins.backend(self.backend).info().versions
        if (
            not isinstance(versions, Mapping)
            or not versions
            or not all(isinstance(v, str) and v for item in versions.items() for v in item)
        ):
            raise LawBroken(
                f"It says {versions!r}.",
                hint='Map distributions to versions: {"torch": "2.9.0"}; models keep them.',
            )

    @law
    def test_undeclared_capabilities_raise_unsupported(self) -> None:
        """A capability that is not declared raises Unsupported, and nothing else."""
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
                f"{capability!r} is not declared, and still did something.",
                hint="Declare it, or leave its hooks out.",
            )

    @law
    def test_a_skeleton_takes_the_weights(self) -> None:
        """What the backend builds without initialising is the original once it has its weights."""
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
                    "The skeleton is described otherwise than blank().",
                    hint="Names, shapes and dtypes are compared before anything is allocated.",
                )
            skeleton = self.load(skeleton, self.export(obj), copy=copy)
            when = f"A skeleton loaded with copy={copy}"
            hint = "Materialise every weight on import."
            expect_same(self.export(obj), self.export(skeleton), when, hint)
            expect_same_prediction(self.predict(obj), self.predict(skeleton), when, hint)

    @law
    def test_building_a_skeleton_leaves_no_trace(self) -> None:
        """After a skeleton was built, or failed to build, objects are made as before."""
        served = plugins.backend(self.backend)

        def fail() -> object:
            raise _Deliberate

        before = self.export(self.make(0))
        served.skeleton(self.blank)
        hint = "Undo in `finally` whatever dc_skeleton sets for the time of build()."
        expect_same(before, self.export(self.make(0)), "After a skeleton was built", hint)
        with suppress(_Deliberate):
            served.skeleton(fail)
        expect_same(before, self.export(self.make(0)), "After a skeleton failed to build", hint)

    @law
    def test_components_are_rebuilt_from_their_description(self) -> None:
        """An object described by name and arguments is built again, and takes the weights."""
        obj, served = self.make(0), plugins.backend(self.backend)
        described = self._described(obj)
        name, params = described
        if not name.startswith(f"{self.backend}/"):
            raise LawBroken(
                f"Its stored name is {name!r}.", hint=f"Stored names begin with '{self.backend}/'."
            )
        built = served.build_component(name, params)
        if type(built) is not type(obj) or served.describe_component(built) != described:
            raise LawBroken(
                f"{described} was built as {served.describe_component(built)}.",
                hint="dc_build_component inverts dc_describe_component.",
            )
        built = self.load(built, self.export(obj))
        hint = "The arguments and the weights together are the whole object."
        expect_same_prediction(self.predict(obj), self.predict(built), "Built and loaded", hint)

    @law
    def test_unknown_component_names_are_refused(self) -> None:
        """A name that is not served raises UnknownClass, whatever it says."""
        served = plugins.backend(self.backend)
        if "components" not in served.info().capabilities:
            skip("the backend declares no components")
        for name in (
            f"{self.backend}/NoSuchClass",
            f"{self.backend}/os.system",
            f"{self.backend}/__class__",
            "builtins/eval",
            "os.system",
            "../x",
            "",
        ):
            try:
                served.build_component(name, {})
            except UnknownClass:
                continue
            raise LawBroken(
                f"{name!r} was built.",
                hint="Look names up in a closed table; they come from files anyone can write.",
            )

    @law
    def test_wrapping_gives_a_model_with_the_same_weights(self) -> None:
        """A wrapped object is a Model whose weights are the object's."""
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
                f"The object has {len(arrays)} weights; the model has other ones ({len(wrapped)}).",
                hint="Hold the object as `native`, and add no weights to it.",
            )

    def _described(self, obj: object) -> tuple[str, Mapping[str, object]]:
        served = plugins.backend(self.backend)
        if "components" not in served.info().capabilities:
            skip("the backend declares no components")
        described = served.describe_component(obj)
        if described is None:
            skip("objects like make(0) have no stored name")
        return described


class _Deliberate(Exception):
    """Raised by a build function that fails on purpose."""
