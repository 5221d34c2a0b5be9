"""The contract of a task, the specification of work on numbered rows that an engine runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path


class Task(ABC):
    """Work on numbered rows, described by paths and parameters.

    A task is pickled and sent to workers, so it holds no data: it says where the data is and what
    to do with it. Results are files.
    """

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of rows."""

    @abstractmethod
    def run(self, start: int, stop: int, directory: Path) -> None:
        """Do the rows from ``start`` up to ``stop`` and write the results into ``directory``.

        ``directory`` is empty, and is kept only if the call returns. The same rows can be run again
        after a crash, in smaller parts, in another process or on another machine, and must give
        the same files.

        What is wrong with one row is caught here and belongs to the results. An exception that
        escapes is a bug in the task, and stops the run.
        """

    def part(self, start: int, stop: int) -> Task:
        """Return the part of the task that a worker needs for these rows, which ``run`` gets too.

        The default is the task itself. A task that does hold data returns one without the other
        rows, so that only these are sent.
        """
        return self

    @property
    def key(self) -> str:
        """The identity of the task: a directory of results is continued only by an equal one.

        The default is a digest of the class's name and the task's attributes. Attributes may be
        plain values, paths, containers, arrays, dataclasses, components and named functions;
        others raise :class:`NotSerializable`. It does not cover the content of files, so a task
        that reads one should have its digest as an attribute.
        """
        # It needs NumPy, which a worker that only runs tasks does not.
        from dc_core.engines.identity import digest

        cls = type(self)
        return digest([f"{cls.__module__}:{cls.__qualname__}", vars(self)])
