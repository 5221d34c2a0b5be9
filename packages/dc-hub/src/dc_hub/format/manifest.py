"""MANIFEST.json: every file of a model with its size and digests, and verification against it.

The manifest is canonical and contains neither times nor machine names, so its own digest names the
revision: equal models have equal revisions everywhere. It lists the SHA-256 of each file and of
each chunk of 16 MiB, so that an interrupted download can resume after its last good chunk.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Any, Final, Self

from dc_hub.errors import (
    FileMissing,
    FormatVersionError,
    HashMismatch,
    ManifestError,
    SizeMismatch,
    UnexpectedFile,
    UnsafePath,
)
from dc_hub.files.paths import (
    check_member,
    list_names,
    open_directory,
    open_regular,
    read_small,
    reading,
)
from dc_hub.files.system import Where, create_file, read_at, read_into, status_of
from dc_hub.format import strict_json
from dc_hub.format.filenames import MANIFEST, SIGNATURES, UNREAD

CHUNK: Final = 1 << 24
MAX_BYTES: Final = 1 << 24
FORMAT: Final = "dc-manifest"
FORMAT_VERSION: Final = (1, 0)

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_BLOCK: Final = 1 << 20
_WORTH_A_THREAD: Final = 1 << 16
_CHANGED: Final = "It was changed, truncated or damaged: get or publish the model again."
_KEYS: Final = frozenset({"format", "format_version", "chunk_size", "files"})
_TEMPLATE: Final = strict_json.dumps(
    {"format": FORMAT, "format_version": list(FORMAT_VERSION), "chunk_size": CHUNK, "files": []}
).decode()
_ENTRY: Final = re.compile(
    r"""\{
      "chunks": \[((?:\n        "[0-9a-f]{64}",?)*)(?:\n      )?\],
      "path": "([A-Za-z0-9._-]*)",
      "sha256": "([0-9a-f]{64})",
      "size": ([0-9]{1,20})
    \}"""
)
"""An entry in canonical form; its chunks, path, digest and size."""

_ENTRY_KEYS: Final = frozenset({"path", "size", "sha256", "chunks"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: its name, its size in bytes, and the SHA-256 of it and of each 16 MiB, in hex."""

    path: str
    size: int
    sha256: str
    chunks: tuple[str, ...]

    def chunk_range(self, index: int) -> tuple[int, int]:
        """Return where the chunk ``index`` starts and stops, in bytes of the file."""
        return index * CHUNK, min((index + 1) * CHUNK, self.size)

    def is_chunk(self, data: bytes, index: int) -> bool:
        """Tell whether ``data`` has the digest of the chunk ``index``."""
        return hashlib.sha256(data).hexdigest() == self.chunks[index]


@dataclass(frozen=True)
class Manifest:
    """The files of a model, sorted by name."""

    entries: tuple[Entry, ...]

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Self:
        """Return the manifest of ``entries``, which may be in any order.

        Raises :class:`UnsafePath` for an invalid file name, and :class:`ManifestError` for names
        that are equal when case is ignored.
        """
        manifest = cls(tuple(sorted(entries, key=lambda entry: entry.path)))
        seen: dict[str, str] = {}
        for entry in manifest.entries:
            path = check_member(entry.path)
            if path in (MANIFEST, *SIGNATURES):
                raise ManifestError(f"A manifest must not list {path}.", path=path)
            other = seen.setdefault(path.lower(), path)
            if other is not path:
                raise ManifestError(f"The manifest lists both {other} and {path}.", path=path)
        return manifest

    @cached_property
    def revision(self) -> str:
        """The SHA-256 of the canonical bytes, as 64 hex digits."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def entry(self, path: str) -> Entry | None:
        """Return the entry of the file ``path``, or None if the manifest does not list it."""
        return self._by_path.get(path)

    @cached_property
    def _by_path(self) -> dict[str, Entry]:
        return {entry.path: entry for entry in self.entries}

    def to_bytes(self) -> bytes:
        """Return the content of MANIFEST.json: canonical JSON."""
        return self._bytes

    @cached_property
    def _bytes(self) -> bytes:
        # Names, digests and sizes need no escapes. The general writer takes ten times as long, and
        # every load needs these bytes.
        files = ",".join(map(_canonical, self.entries))
        return _TEMPLATE.replace("[]", f"[{files}\n  ]" if files else "[]").encode()

    @classmethod
    def from_bytes(cls, data: bytes, *, what: str = MANIFEST) -> Self:
        """Parse ``data``, the canonical bytes of a manifest; ``what`` names it in messages.

        Raises :class:`ManifestError` if it is malformed or not canonical, :class:`UnsafePath` for
        an invalid file name, :class:`FormatVersionError` for another version, and
        :class:`LimitExceeded`.
        """
        if len(data) <= MAX_BYTES:
            read = cls(tuple(_read_canonical(data)))
            # The canonical form of these entries is what was read, so they are all that it says.
            if read.to_bytes() == data and cls.of(read.entries) == read:
                return read
        value = strict_json.loads(data, what=what, limit=MAX_BYTES, depth=4, error=ManifestError)
        if type(value) is not dict or value.get("format") != FORMAT:
            raise ManifestError(f"{what} is not the manifest of a model.", path=what)
        if value.get("format_version") != list(FORMAT_VERSION):
            raise FormatVersionError(
                f"{what} has version {value.get('format_version')!r}; "
                f"{list(FORMAT_VERSION)} is supported.",
                path=what,
                hint="Run: pip install --upgrade dc-hub",
            )
        files = value.get("files")
        if value.keys() != _KEYS or value["chunk_size"] != CHUNK or type(files) is not list:
            raise ManifestError(f"{what} does not have the keys of a manifest.", path=what)
        manifest = cls.of(_read_entry(file, what) for file in files)
        if manifest.to_bytes() != data:
            raise ManifestError(
                f"{what} is not in canonical form.",
                path=what,
                hint="It was edited or reformatted: get the model again.",
            )
        return manifest


class HashingFile:
    """A new file that is hashed while it is written.

    Use it as a context manager: at its end the file is on the disk and ``entry`` describes it.
    Within the first 16 MiB the digest of the chunk is that of the file. Beyond, both are computed
    in threads while the file is written; ``hashlib`` releases the interpreter lock.
    """

    def __init__(self, file: io.FileIO, path: str) -> None:
        """Write to ``file``, which is new and empty and has the name ``path`` in the manifest."""
        self._file = file
        self._path = path
        self._size = 0
        self._chunks: list[str] = []
        self._chunk = hashlib.sha256()
        self._whole = self._chunk
        self._pool: ThreadPoolExecutor | None = None
        self._entry: Entry | None = None

    @classmethod
    def create(cls, where: Where, name: str) -> Self:
        """Create the file ``name`` in the directory ``where``; nothing may exist, not even a link.

        The umask determines its mode. Raises :class:`UnsafePath` for an invalid name, and
        ``OSError``.
        """
        check_member(name)
        return cls(io.FileIO(create_file(where, name), "wb"), name)

    @property
    def entry(self) -> Entry:
        """The entry of the written file; known once the file is closed."""
        if self._entry is None:
            raise ValueError(f"{self._path} is still being written.")
        return self._entry

    def write(self, data: bytes | memoryview) -> int:
        """Write and hash all of ``data``, and return its length. Raises ``OSError``.

        The caller may reuse the memory of ``data`` afterwards.
        """
        view = memoryview(data)
        done = 0
        while done < len(view):
            room = CHUNK - self._size % CHUNK
            block = view[done : done + room]
            if self._size and room == CHUNK:
                # The hash of the first chunk continues as that of the whole file.
                self._chunks.append(self._chunk.hexdigest())
                self._chunk = hashlib.sha256()
            if self._size < CHUNK:
                self._whole.update(block)
                self._write(block)
            elif len(block) < _WORTH_A_THREAD:
                self._whole.update(block)
                self._chunk.update(block)
                self._write(block)
            else:
                self._write_while_hashing(block)
            self._size += len(block)
            done += len(block)
        return done

    def close(self) -> None:
        """Write the file to the disk, close it, and set its ``entry``."""
        if self._file.closed:
            return
        try:
            os.fsync(self._file.fileno())
        finally:
            self.discard()
        if self._size:
            self._chunks.append(self._chunk.hexdigest())
        self._entry = Entry(self._path, self._size, self._whole.hexdigest(), tuple(self._chunks))

    def discard(self) -> None:
        """Close the file without waiting for the disk, if writing has failed."""
        self._file.close()
        if self._pool is not None:
            self._pool.shutdown()

    def __enter__(self) -> Self:
        """Return the file itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file, or discard it if writing failed."""
        if error is None:
            self.close()
        else:
            self.discard()

    def _write(self, block: memoryview) -> None:
        while len(block):
            # Writing a megabyte at a time can take a tenth of the time of writing several at once.
            block = block[self._file.write(block[:_BLOCK]) :]

    def _write_while_hashing(self, block: memoryview) -> None:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(2, "sha256")
        hashing = [self._pool.submit(h.update, block) for h in (self._whole, self._chunk)]
        try:
            self._write(block)
        finally:
            for future in hashing:
                future.result()


def parse_manifest(data: bytes, revision: str, what: str) -> Manifest:
    """Return the manifest with the content ``data``, which has the digest ``revision`` if given.

    Raises :class:`HashMismatch`, and what :meth:`Manifest.from_bytes` raises.
    """
    if revision and hashlib.sha256(data).hexdigest() != revision:
        raise HashMismatch(
            f"{what} is not the manifest of revision {revision}.",
            path=what,
            hint="It was changed after publishing: download or publish the model again.",
        )
    return Manifest.from_bytes(data, what=what)


def read_manifest(folder: Where, revision: str, what: str) -> Manifest:
    """Return the manifest in the directory ``folder``; see :func:`parse_manifest`."""
    return parse_manifest(read_small(folder, MANIFEST, MAX_BYTES), revision, what)


def verify_file(file: io.FileIO, entry: Entry, *, what: str = "") -> None:
    """Raise unless the open ``file`` has the size and digests of ``entry``.

    ``what`` names the file in messages (default: its name in the manifest). The chunks of a large
    file are hashed in parallel. Raises :class:`SizeMismatch`, :class:`HashMismatch`, or
    :class:`HubUnavailable` if it cannot be read.
    """
    shown = what or entry.path
    size = os.fstat(file.fileno()).st_size
    if size != entry.size:
        raise _other_size(shown, size, entry.size)
    with reading(shown):
        if size <= CHUNK:
            wrong = None if _digest(file.fileno(), 0, size) == entry.sha256 else 0
        else:
            wrong = _first_wrong_chunk(file.fileno(), entry)
    if wrong is not None:
        place = f" in the 16 MiB from byte {wrong}" if size > CHUNK else ""
        raise _other_content(shown, place)


def verified_content(file: io.FileIO, entry: Entry, *, what: str) -> bytes:
    """Return the content of the open small ``file``, which has the size and digest of ``entry``.

    Raises what :func:`verify_file` raises.
    """
    with reading(what):
        data = file.read(entry.size + 1)
    if len(data) != entry.size:
        raise _other_size(what, os.fstat(file.fileno()).st_size, entry.size)
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise _other_content(what)
    return data


def read_chunk(file: io.FileIO, entry: Entry, index: int, *, what: str) -> bytes:
    """Return the chunk ``index`` of the open ``file``, which has its digest.

    Raises :class:`HashMismatch`, or :class:`HubUnavailable` if it cannot be read.
    """
    start, stop = entry.chunk_range(index)
    with reading(what):
        data = read_at(file.fileno(), stop - start, start)
    if not entry.is_chunk(data, index):
        raise _other_content(what, f" in the 16 MiB from byte {start}")
    return data


def check_files(
    folder: Where, manifest: Manifest, shown: str, names: Collection[str] | None = None
) -> dict[str, os.stat_result]:
    """Return the status of every file of ``manifest`` in the open directory ``folder``.

    ``shown`` is the directory's path in messages; ``names`` are those of its files, unless they are
    to be listed. Nothing is hashed. Raises :class:`FileMissing`,
    :class:`UnexpectedFile`, :class:`SizeMismatch`, and :class:`UnsafePath` for links and everything
    else that is not a plain file, signatures included.
    """
    at = f"{shown}/" if shown else ""
    listed = {entry.path: entry for entry in manifest.entries}
    there = set(list_names(folder) if names is None else names)
    for name in sorted(there - listed.keys() - {MANIFEST, *SIGNATURES, *UNREAD}):
        raise UnexpectedFile(
            f"{at}{name} is not listed in the manifest.",
            path=f"{at}{name}",
            hint="Move it elsewhere: a model directory contains only the files of the model.",
        )
    found = {}
    for name in (*listed, *sorted(there.intersection(SIGNATURES))):
        path = f"{at}{name}"
        if name not in there:
            raise FileMissing(
                f"{path} is missing, but listed in the manifest.",
                path=path,
                hint="Get or publish the model again.",
            )
        with reading(path):
            status = status_of(folder, name)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise UnsafePath(
                f"{path} is a link or not a regular file.",
                path=path,
                hint="Models are plain files: copy the directory, following links, and try again.",
            )
        if name in listed:
            if status.st_size != listed[name].size:
                raise _other_size(path, status.st_size, listed[name].size)
            found[name] = status
    return found


def verify_directory(where: Where, manifest: Manifest) -> None:
    """Raise unless the directory ``where`` contains exactly the files of ``manifest``, unchanged.

    Raises what :func:`check_files` and :func:`verify_file` raise.
    """
    shown = "" if isinstance(where, int) else os.fspath(where)
    with open_directory(where) as folder:
        check_files(folder, manifest, shown)
        for entry in manifest.entries:
            with open_regular(folder, entry.path) as file:
                verify_file(file, entry, what=f"{shown}/{entry.path}" if shown else entry.path)


def _other_size(path: str, size: int, wanted: int) -> SizeMismatch:
    return SizeMismatch(
        f"{path} has {size} bytes; the manifest says {wanted}.", path=path, hint=_CHANGED
    )


def _other_content(path: str, place: str = "") -> HashMismatch:
    return HashMismatch(
        f"The content of {path} does not match the manifest{place}.", path=path, hint=_CHANGED
    )


def _digest(descriptor: int, start: int, length: int) -> str:
    """Return the SHA-256 of ``length`` bytes from ``start``, or of fewer if the file ends."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(min(_BLOCK, length)))
    stop = start + length
    while start < stop:
        count = read_into(descriptor, buffer[: stop - start], start)
        if count == 0:
            break
        digest.update(buffer[:count])
        start += count
    return digest.hexdigest()


def _first_wrong_chunk(descriptor: int, entry: Entry) -> int | None:
    """Return the start of the first chunk that does not match, or None; hash in parallel."""
    starts = range(0, entry.size, CHUNK)
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1), "sha256") as pool:
        digests = pool.map(lambda start: _digest(descriptor, start, CHUNK), starts)
        for start, digest, expected in zip(starts, digests, entry.chunks, strict=True):
            if digest != expected:
                pool.shutdown(wait=False, cancel_futures=True)
                return start
    return None


def _canonical(entry: Entry) -> str:
    """Return an entry as canonical JSON, at its place in a manifest."""
    chunks = ",".join(f'\n        "{chunk}"' for chunk in entry.chunks)
    end = "\n      " if chunks else ""
    return f"""
    {{
      "chunks": [{chunks}{end}],
      "path": "{entry.path}",
      "sha256": "{entry.sha256}",
      "size": {entry.size}
    }}"""


def _read_canonical(data: bytes) -> Iterator[Entry]:
    """Yield the entries of a manifest in canonical form; of any other, whatever is found.

    This takes a third of the time of parsing JSON, which is left to say what is wrong.
    """
    for chunks, path, sha256, size in _ENTRY.findall(data.decode("ascii", "replace")):
        entry = Entry(path, int(size), sha256, tuple(chunks.split('"')[1::2]))
        if _is_consistent(entry):
            yield entry


def _is_consistent(entry: Entry) -> bool:
    """Tell whether ``entry`` has the right number of chunks, and equal digests if there is one."""
    count = len(entry.chunks)
    return count == -(-entry.size // CHUNK) and (count != 1 or entry.chunks[0] == entry.sha256)


def _read_entry(value: Any, what: str) -> Entry:
    if (
        type(value) is not dict
        or value.keys() != _ENTRY_KEYS
        or type(value["path"]) is not str
        or type(value["size"]) is not int
        or value["size"] < 0
        or type(value["chunks"]) is not list
        or not all(map(_is_digest, (value["sha256"], *value["chunks"])))
    ):
        raise ManifestError(
            f"{what} has an entry without a valid path, size and digests.", path=what
        )
    entry = Entry(value["path"], value["size"], value["sha256"], tuple(value["chunks"]))
    if not _is_consistent(entry):
        raise ManifestError(
            f"{what} is inconsistent about the chunks of {entry.path!r}.", path=what
        )
    return entry


def _is_digest(value: Any) -> bool:
    return type(value) is str and _DIGEST.fullmatch(value) is not None
