"""Laws on what the calls of a suite must leave alone: the process, and its output."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator

from dc_core.testing.fresh import in_fresh_process
from dc_core.testing.process import captured_output, change_of_state
from dc_core.testing.suite import LawBroken, Suite, law


class EffectLaws(Suite):
    """Laws on what the calls of a suite must leave alone: the process, and its output."""

    @abstractmethod
    def _calls(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """Yield each call with a verb for it; none is made before the first is yielded."""

    def global_state(self) -> object:
        """Optional: return the framework's global state in comparable form.

        For instance the state of its random generator, its default dtype and its modes. No call may
        change it.
        """
        return None

    @law(since="0.1")
    def test_calls_leave_the_process_as_it_was(self) -> None:
        """No call changes random states, modes, environment, directory, signals, files, threads."""
        self._expect_none(self._effect(), "it was asked")

    @law(since="0.1")
    def test_first_calls_leave_the_process_as_it_was(self) -> None:
        """In a new process, the first call of each kind changes nothing of the process's state."""
        self._expect_none(in_fresh_process(self, "_effect"), "it was asked for the first time")

    @law(since="0.1")
    def test_calls_print_nothing(self) -> None:
        """No call writes to standard output or standard error."""
        for verb, call in self._calls():
            with captured_output() as written:
                call()
            if any(written):
                raise LawBroken(
                    f"Asked to {verb}, it wrote {''.join(written)[:200]!r}.",
                    hint="Use logging; return what the caller should know.",
                )

    def _effect(self) -> list[str]:
        """Return the first call that changes the process's state, and what it changes; or []."""
        for verb, call in self._calls():
            changed = change_of_state(call, self.global_state)
            if changed:
                return [verb, changed]
        return []

    def _expect_none(self, effect: list[str], when: str) -> None:
        if effect:
            verb, changed = effect
            raise LawBroken(
                f"After {when} to {verb}, {changed} is different.",
                hint="Use generators and contexts of your own, and restore in `finally` what the "
                "framework changes.",
            )
