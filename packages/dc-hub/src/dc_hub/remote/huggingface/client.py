"""Change repositories by Hugging Face's own client."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from dc_hub.errors import HubUnavailable, ModelNotFound, ReadOnlyHub
from dc_hub.files.urls import hide_secrets
from dc_hub.remote.huggingface.store import LOG_IN

OFFLINE: Final = "HF_HUB_OFFLINE"
"""The environment variable by which programs of Hugging Face are told to stay offline."""

_MAX_NAMES: Final = 100_000
_DENIED: Final = frozenset({401, 402, 403})
_REFUSED: Final = frozenset({409, 412})


class Refused(HubUnavailable):
    """A change was refused, because its condition does not hold."""


class Client:
    """The client, for an endpoint. New repositories are ``private`` if asked for."""

    def __init__(self, endpoint: str, token: str | None, *, private: bool) -> None:
        self._library = library()
        self._endpoint = endpoint
        self._private = private
        # False means: send none, not even the one of the user who is logged in.
        self._api = self._library.api(endpoint=endpoint, token=token or False)

    def names(self, namespace: str, file: str) -> list[str]:
        """Return the repositories of a user or an organisation with the file ``file`` in main."""
        with self._asking(namespace):
            found = self._api.list_models(author=namespace, expand=["siblings"])
            return [
                str(model.id)
                for model in islice(found, _MAX_NAMES)
                if any(sibling.rfilename == file for sibling in model.siblings or ())
            ]

    def create(self, repository: str) -> None:
        """Create a repository, unless it exists."""
        with self._asking(repository):
            private = True if self._private else None
            self._api.create_repo(repository, private=private, exist_ok=True)

    def upload(
        self, repository: str, files: Mapping[str, Path | bytes], *, branch: str,
        parent: str | None, delete: Collection[str] = (), message: str,
    ) -> str:  # fmt: skip
        """Commit ``files``, and that those of ``delete`` are gone; return the commit.

        Raises :class:`Refused` if ``branch`` does not point at ``parent``.
        """
        operations = [
            self._library.add(path_in_repo=name, path_or_fileobj=file)
            for name, file in sorted(files.items())
        ]
        return self._commit(repository, operations, branch, parent, delete, message)

    def copy(
        self, repository: str, names: Collection[str], *, source: str, branch: str, parent: str,
        delete: Collection[str], message: str,
    ) -> str:  # fmt: skip
        """Commit to ``branch`` the files ``names`` of the commit ``source``; see :meth:`upload`."""
        operations = [
            self._library.copy(src_path_in_repo=name, path_in_repo=name, src_revision=source)
            for name in sorted(names)
        ]
        return self._commit(repository, operations, branch, parent, delete, message)

    def _commit(
        self, repository: str, operations: list[Any], branch: str, parent: str | None,
        delete: Collection[str], message: str,
    ) -> str:  # fmt: skip
        deletions = [self._library.delete(path_in_repo=name) for name in sorted(delete)]
        with self._asking(repository), _quiet():
            made = self._api.create_commit(
                repository,
                [*operations, *deletions],
                commit_message=message,
                revision=branch,
                parent_commit=parent,
            )
            return str(made.oid)

    def create_branch(self, repository: str, branch: str, commit: str) -> None:
        """Create a branch at a commit. Raises :class:`Refused` if it exists."""
        with self._asking(repository):
            self._api.create_branch(repository, branch=branch, revision=commit)

    def delete_branch(self, repository: str, branch: str) -> None:
        """Delete a branch."""
        with self._asking(repository):
            self._api.delete_branch(repository, branch=branch)

    def create_tag(self, repository: str, tag: str, commit: str) -> None:
        """Create a tag at a commit, unless it exists."""
        with self._asking(repository):
            self._api.create_tag(repository, tag=tag, revision=commit, exist_ok=True)

    def delete_tag(self, repository: str, tag: str) -> None:
        """Delete a tag."""
        with self._asking(repository):
            self._api.delete_tag(repository, tag=tag)

    def delete(self, repository: str) -> None:
        """Delete a repository with everything in it."""
        with self._asking(repository):
            self._api.delete_repo(repository)

    @contextmanager
    def _asking(self, repository: str) -> Iterator[None]:
        """Convert the errors of the client to those of the hub."""
        shown = f"{self._endpoint}/{repository}"
        try:
            yield
        except self._library.not_found as error:
            raise ModelNotFound(
                f"There is no repository {repository!r} at {self._endpoint}, or it is private.",
                path=shown,
                hint=f"Check the name. {LOG_IN.format('write to it')}",
            ) from error
        except self._library.failed as error:
            status = getattr(getattr(error, "response", None), "status_code", None)
            if status in _REFUSED:
                raise Refused(
                    f"{shown} was changed by another meanwhile.", path=shown, hint="Try again."
                ) from error
            if status in _DENIED:
                raise ReadOnlyHub(
                    f"{shown} cannot be written: {_told(error)}",
                    path=shown,
                    hint=LOG_IN.format("write to it"),
                ) from error
            raise HubUnavailable(
                f"{shown} cannot be changed: {_told(error)}",
                path=shown,
                hint="Check the connection and the endpoint, and try again: what was uploaded is "
                "not uploaded again.",
            ) from error


class _Library(NamedTuple):
    """The names used from huggingface_hub."""

    constants: Any
    utils: Any
    token: Any
    api: Any
    add: Any
    copy: Any
    delete: Any
    not_found: tuple[type[Exception], ...]
    failed: tuple[type[Exception], ...]


@contextmanager
def _quiet() -> Iterator[None]:
    """Let the client show no progress where nobody sees it."""
    utils = library().utils
    if utils.are_progress_bars_disabled() or (sys.stderr is not None and sys.stderr.isatty()):
        yield
        return
    utils.disable_progress_bars()
    try:
        yield
    finally:
        utils.enable_progress_bars()


def default_endpoint() -> str:
    """Return the URL that ``HF_ENDPOINT`` names, or Hugging Face's."""
    named = os.environ.get("HF_ENDPOINT")
    return (named or str(library().constants.ENDPOINT)).rstrip("/")


def default_token() -> str | None:
    """Return the token of huggingface_hub: of ``HF_TOKEN``, or of the user who is logged in.

    Raises :class:`HubUnavailable` if it had to be renewed, and could not be.
    """
    found = library()
    try:
        token = found.token()
    except found.failed as error:
        raise HubUnavailable(
            f"The token for Hugging Face's hub cannot be had: {_told(error)}",
            hint="Log in again: hf auth login.",
        ) from error
    return None if token is None else str(token)


def is_offline() -> bool:
    """Tell whether huggingface_hub is to stay offline: ``HF_HUB_OFFLINE``."""
    named = os.environ.get(OFFLINE, "").upper() in ("1", "ON", "YES", "TRUE")
    return named or bool(library().constants.HF_HUB_OFFLINE)


def library() -> _Library:
    """Return the names used from huggingface_hub. Raises :class:`HubUnavailable` without it."""
    try:
        hf, constants, errors, utils = (
            import_module(f"huggingface_hub{part}")
            for part in ("", ".constants", ".errors", ".utils")
        )
    except ModuleNotFoundError as error:
        raise HubUnavailable(
            "Hubs at hf:// need huggingface_hub.", hint='Run: pip install "dc-hub[hf]"'
        ) from error
    # The first base is the root of what its HTTP library raises.
    http_error = errors.HfHubHTTPError.__mro__[1]
    return _Library(
        constants,
        utils,
        hf.get_token,
        hf.HfApi,
        hf.CommitOperationAdd,
        hf.CommitOperationCopy,
        hf.CommitOperationDelete,
        (errors.RepositoryNotFoundError,),
        # Uploads raise RuntimeError, and answers or cards that are not valid ValueError.
        (http_error, errors.HfHubHTTPError, OSError, ValueError, RuntimeError),
    )


def _told(error: BaseException) -> str:
    """Return the messages of an error and its cause."""
    told = [str(error)]
    if error.__cause__ is not None and isinstance(error, RuntimeError):
        told.append(str(error.__cause__))
    return hide_secrets(" ".join(told))
