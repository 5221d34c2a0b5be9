"""Read from an endpoint: the facts about a repository, and the files of its commits.

Reading takes three kinds of requests: the references of a repository, the list of the files of a
commit, and the files. They are made by :class:`HTTPStore`, which bounds and times all that comes
and sends the token to the endpoint alone. A commit never changes, so what is fetched at one belongs
together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from dc_hub.errors import (
    FileMissing,
    HubError,
    HubUnavailable,
    LimitExceeded,
    ModelNotFound,
    RevisionNotFound,
)
from dc_hub.format import strict_json
from dc_hub.remote.http import HTTPStore

COMMIT: Final = re.compile(r"[0-9a-f]{40}")

LOG_IN: Final = "Log in (hf auth login) or set HF_TOKEN to a token that may {}."

_MAX_ANSWER: Final = 1 << 25
"""The largest answer that is read: more than 100 000 references."""

_MAX_PAGES: Final = 100
"""The most pages of a list that are read; each has up to a thousand files."""

_NEXT: Final = re.compile(r'<[^<>?#]{1,2000}\?([!$-;=?-~]{1,2000})>\s*;\s*rel="next"')
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Refs:
    """The commits that the branches and the tags of a repository point at."""

    branches: Mapping[str, str]
    tags: Mapping[str, str]

    def commit(self, name: str) -> str | None:
        """Return the commit of a branch, else of a tag, else None."""
        return self.branches.get(name) or self.tags.get(name)


@dataclass(frozen=True, slots=True)
class RepositoryFile:
    """A file of a commit: its size in bytes, the digest of its git object, and the SHA-256.

    ``sha256`` is None for a file that is not in the large file storage.
    """

    size: int
    oid: str
    sha256: str | None


class HFStore(HTTPStore):
    """The repositories of models at an endpoint; ``token`` is sent to it alone."""

    def __init__(self, endpoint: str, token: str | None) -> None:
        super().__init__(endpoint, {} if token is None else {"Authorization": f"Bearer {token}"})

    def refs(self, repository: str) -> Refs:
        """Return the branches and tags of a repository.

        Raises :class:`ModelNotFound` if there is none, or if it is private and the token may not
        read it, and :class:`HubUnavailable`.
        """
        path = f"api/models/{repository}/refs"
        try:
            answer = self._json(path)
        except FileMissing as error:
            raise self._no_repository(repository) from error
        if not isinstance(answer, dict):
            raise self._nonsense(path, "no references")
        return Refs(
            dict(self._commits(path, answer.get("branches"))),
            dict(self._commits(path, answer.get("tags"))),
        )

    def files(self, repository: str, commit: str) -> dict[str, RepositoryFile]:
        """Return the files in the root of a commit by name.

        Raises :class:`RevisionNotFound` if there is no such commit, :class:`HubUnavailable`, and
        :class:`LimitExceeded` if there are more than a hundred thousand.
        """
        path = f"api/models/{repository}/tree/{commit}"
        found: dict[str, RepositoryFile] = {}
        query = ""
        for _ in range(_MAX_PAGES):
            answer, query = self._page(path, query)
            if not isinstance(answer, list):
                raise self._nonsense(path, "no list of files")
            found |= {
                str(item.get("path")): self._file(path, item)
                for item in answer
                if isinstance(item, dict) and item.get("type") == "file"
            }
            if not query:
                return found
        raise self._too_many(path, "files")

    def _json(self, path: str) -> Any:
        answer, more = self._page(path, "")
        if more:
            raise self._too_many(path, "references")
        return answer

    def _page(self, path: str, query: str) -> tuple[Any, str]:
        """Return a page of an answer, and the query for the next one; empty at the end.

        Nothing else of the link to the next page is used, so that it cannot lead elsewhere.
        """
        data, headers = self._read_whole(path, _MAX_ANSWER, query)
        answer = strict_json.loads(
            data, what=self._shown(path), limit=_MAX_ANSWER, depth=16, error=HubUnavailable
        )
        link = headers.get("Link", "")
        if 'rel="next"' not in link:
            return answer, ""
        found = _NEXT.search(link)
        if found is None:
            raise self._nonsense(path, "a link to no page")
        return answer, found[1]

    def _too_many(self, path: str, what: str) -> LimitExceeded:
        return LimitExceeded(
            f"{self._shown(_repository(path))} has too many {what}.",
            path=self._shown(path),
            hint="Use another repository for this model.",
        )

    def _commits(self, path: str, items: Any) -> Iterator[tuple[str, str]]:
        for item in items if isinstance(items, list) else ():
            found = item if isinstance(item, dict) else {}
            name, commit = found.get("name"), found.get("targetCommit")
            if not isinstance(name, str) or not _is(COMMIT, commit):
                raise self._nonsense(path, "a reference to no commit")
            yield name, str(commit)

    def _file(self, path: str, item: Mapping[str, Any]) -> RepositoryFile:
        size, oid, lfs = item.get("size"), item.get("oid"), item.get("lfs")
        sha256 = lfs.get("oid") if isinstance(lfs, dict) else None
        if isinstance(lfs, dict):
            size = lfs.get("size", size)
        if type(size) is not int or size < 0 or not _is(COMMIT, oid):
            raise self._nonsense(path, "a file without a size or digest")
        if sha256 is not None and not _is(_SHA256, sha256):
            raise self._nonsense(path, "a file with a digest that is none")
        return RepositoryFile(size, str(oid), sha256)

    def _check(self, answer: Any, path: str) -> None:
        """Raise the error that the endpoint names in a header; see :meth:`HTTPStore._check`."""
        code = answer.headers.get("X-Error-Code", "")
        if answer.status == 401 and not code:
            raise HubUnavailable(
                f"{self._shown(path)}: the endpoint does not accept the token, or wants one.",
                path=self._shown(path),
                hint=LOG_IN.format("read it"),
            )
        if 400 <= answer.status < 500:
            repository = _repository(path)
            if code == "RepoNotFound":
                raise self._no_repository(repository)
            if code == "GatedRepo":
                raise HubUnavailable(
                    f"{self._shown(repository)} is gated: its owner lets in who asks.",
                    path=self._shown(repository),
                    hint=f"Accept its conditions on its page. {LOG_IN.format('read it')}",
                )
            if code == "RevisionNotFound":
                raise RevisionNotFound(
                    f"{self._shown(repository)} has no such revision: {path}.",
                    path=self._shown(path),
                    hint="Check the branch, the tag or the commit.",
                )
            if answer.status == 403:
                raise HubUnavailable(
                    f"{self._shown(path)}: the endpoint denies access.",
                    path=self._shown(path),
                    hint=LOG_IN.format("read it"),
                )
        super()._check(answer, path)

    def _no_repository(self, repository: str) -> HubError:
        return ModelNotFound(
            f"There is no repository {repository!r} at {self.url}, or it is private.",
            path=self._shown(repository),
            hint=f"Check the name. {LOG_IN.format('read it')}",
        )


def _is(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _repository(path: str) -> str:
    """Return the repository that a path of the endpoint is about."""
    return re.split("/(?:refs|tree|resolve)(?:/|$)", path.removeprefix("api/models/"))[0]
