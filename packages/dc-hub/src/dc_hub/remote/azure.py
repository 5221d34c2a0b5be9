"""Containers of Azure's storage, through the file system of adlfs (fsspec).

Tested against the emulator Azurite, which has the conditional writes of the service.
"""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from dc_core import hookimpl
from dc_core.errors import ParameterError
from dc_hub.errors import FileMissing, HubUnavailable, LimitExceeded, ReadOnlyHub
from dc_hub.files.urls import hide_secrets, without_secrets
from dc_hub.format.manifest import CHUNK
from dc_hub.remote.buckets import BucketHub, Refused, StoredObject
from dc_hub.remote.http import GRACE, SLOWEST
from dc_hub.remote.store import check_online, is_range

T = TypeVar("T")

_URL: Final = re.compile(r"az://([a-z0-9-]+)((?:/[^?#@]*)?)", re.IGNORECASE)
_OPTIONS: Final = frozenset({"account_key", "account_name", "anon", "connection_string"})
_DENIED: Final = frozenset({401, 403})


@hookimpl
def dc_open_hub(url: str, options: Mapping[str, Any]) -> BucketHub:
    """Return the hub at ``az://container/prefix``.

    The options are those of adlfs: ``account_name``, ``account_key``, ``anon`` and
    ``connection_string``. Without them the environment decides, as for every program that uses it.
    """
    unknown = options.keys() - _OPTIONS
    if unknown:
        raise ParameterError(
            f"A hub in a container has no option {min(unknown)!r}.",
            hint=f"Its options are: {', '.join(sorted(_OPTIONS))}.",
        )
    return BucketHub(AzureStore(url, **options))


class AzureStore:
    """The blobs of a container below a prefix."""

    def __init__(self, url: str, **options: Any) -> None:
        found = _URL.fullmatch(url)
        if found is None:
            raise HubUnavailable(
                f"{without_secrets(url)!r} is not the URL of a hub.",
                path=without_secrets(url),
                hint="Write az://container/prefix.",
            )
        self.url = url.rstrip("/")
        self._container = found[1]
        self._prefix = found[2].strip("/")
        self._library = _library(self.url)
        try:
            self._files = self._library.file_system(
                skip_instance_cache=True, use_listings_cache=False, **options
            )
        except ValueError as error:
            raise HubUnavailable(
                f"{self.url} cannot be opened: {hide_secrets(str(error))}.",
                path=self.url,
                hint="Give account_name= or connection_string=, or set them in the environment.",
            ) from error

    def read(self, path: str, limit: int) -> bytes:
        """Return a whole blob; see :class:`Store`."""
        return self.read_tagged(path, limit)[0]

    def read_tagged(self, path: str, limit: int) -> tuple[bytes, str]:
        """Return a whole blob and its entity tag, which changes with it."""
        data, properties = self._download(path, 0, limit + 1, limit)
        return data, properties.etag

    def stream(
        self, path: str, size: int, start: int = 0, stop: int | None = None
    ) -> Generator[bytes]:
        """Yield a blob, or a part of it, in pieces of 16 MiB; see :class:`Store`."""
        end = size if stop is None else stop
        for at in range(start, end, CHUNK):
            length = min(CHUNK, end - at)
            data, properties = self._download(path, at, length, length)
            told = str(properties.content_range)  # with the size of the whole
            if len(data) != length or not is_range(told, at, at + length, size):
                raise HubUnavailable(
                    f"{self._shown(path)}: {len(data)} bytes came for {length} of {size}, {told}.",
                    path=self._shown(path),
                    hint="The blob was changed.",
                )
            yield data

    def files(self, path: str) -> list[str]:
        """Return the names of the blobs in the folder ``path``, sorted."""
        names = (found.path[len(path) + 1 :] for found in self.below(path))
        return sorted(name for name in names if "/" not in name)

    def below(self, path: str) -> Iterator[StoredObject]:
        """Yield all blobs below the folder ``path``."""
        where = f"{self._container}/{self._key(path)}".rstrip("/")
        try:
            found: Any = self._ask(path, self._files._find, where, detail=True)
        except FileMissing:
            return
        start = len(f"{self._container}/{self._key('')}")
        for name, each in found.items() if isinstance(found, dict) else ():  # or it is a blob
            yield StoredObject(name[start:], each["size"], each["last_modified"].timestamp())

    def write(
        self, path: str, data: bytes, *, new: bool = False, expected: str | None = None
    ) -> None:
        """Write a blob: only if it is ``new``, or has the entity tag ``expected``, if given."""
        options = {"mode": "create"} if new else self._only_if(expected)
        self._ask(path, self._files._pipe_file, self._path(path), data, writes=True, **options)

    def upload(self, path: str, file: Path) -> None:
        """Write a blob with the content of a file, in parts if it is large."""
        size, source = file.stat().st_size, os.fspath(file)
        self._ask(path, self._files._put_file, source, self._path(path), size=size, writes=True)

    def delete(self, path: str, *, expected: str | None = None) -> None:
        """Delete a blob, if it has the entity tag ``expected``, if given."""

        async def delete() -> None:
            async with self._blob(path) as blob:
                await blob.delete_blob(**self._only_if(expected))

        self._ask(path, delete, writes=True)

    def _download(self, path: str, start: int, length: int, limit: int) -> tuple[bytes, Any]:
        """Return ``length`` bytes of a blob, or those that there are, and its properties."""

        async def download() -> tuple[bytes, Any]:
            async with self._blob(path) as blob:
                stream = await blob.download_blob(offset=start, length=length)
                return await stream.readall(), stream.properties

        data, properties = self._ask(path, download, size=length)
        if len(data) > limit:
            raise LimitExceeded(
                f"{self._shown(path)} has more than the {limit} bytes allowed.",
                path=self._shown(path),
            )
        return data, properties

    def _only_if(self, expected: str | None) -> dict[str, Any]:
        """Return the options of a request that is made only if an entity tag is ``expected``."""
        if expected is None:
            return {}
        return {"etag": expected, "match_condition": self._library.not_modified}

    def _blob(self, path: str) -> Any:
        client = self._files.service_client
        return client.get_blob_client(container=self._container, blob=self._key(path))

    def _key(self, path: str) -> str:
        return f"{self._prefix}/{path}" if self._prefix else path

    def _path(self, path: str) -> str:
        return f"{self._container}/{self._key(path)}"

    def _shown(self, path: str) -> str:
        return f"{self.url}/{path}" if path else self.url

    def _ask(
        self,
        path: str,
        call: Callable[..., Awaitable[T]],
        *args: Any,
        size: int = 0,
        writes: bool = False,
        **options: Any,
    ) -> T:
        """Run a coroutine with a deadline; convert the errors of the library."""
        shown = self._shown(path)
        check_online(shown)
        deadline = GRACE + size / SLOWEST
        try:
            answer: T = self._library.sync(
                self._files.loop, call, *args, timeout=deadline, **options
            )
        except self._library.missing as error:
            raise FileMissing(f"{shown} does not exist.", path=shown) from error
        except self._library.refused as error:
            raise Refused from error
        except self._library.failed as error:
            denied = getattr(error, "status_code", None) in _DENIED
            told = hide_secrets(str(error)) or type(error).__name__
            raise (ReadOnlyHub if denied and writes else HubUnavailable)(
                f"{shown} cannot be reached: {told}.",
                path=shown,
                hint="Check the connection, the container and the credentials, and try again.",
            ) from error
        return answer


class _Library(NamedTuple):
    """The names used from the libraries."""

    file_system: Any
    sync: Any
    not_modified: Any
    missing: tuple[type[Exception], ...]
    refused: tuple[type[Exception], ...]
    failed: tuple[type[Exception], ...]


def _library(url: str) -> _Library:
    try:
        from adlfs import AzureBlobFileSystem
        from azure.core import MatchConditions
        from azure.core.exceptions import (
            AzureError,
            ResourceExistsError,
            ResourceModifiedError,
            ResourceNotFoundError,
        )
        from fsspec.asyn import sync
    except ModuleNotFoundError as error:
        raise HubUnavailable(
            "Hubs in Azure's containers need adlfs.",
            path=url,
            hint='Run: pip install "dc-hub[az]"',
        ) from error
    return _Library(
        AzureBlobFileSystem,
        sync,
        MatchConditions.IfNotModified,
        (FileNotFoundError, ResourceNotFoundError),
        (FileExistsError, ResourceExistsError, ResourceModifiedError),
        (AzureError, OSError, RuntimeError, ValueError),
    )
