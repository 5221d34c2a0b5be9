"""Write the site of a hub into a directory, which is replaced as a whole."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dc_core import explained, sync_directory
from dc_hub.errors import AlreadyExists, HubError, UnsafePath
from dc_hub.files.storage import make_directory, temporary, writing
from dc_hub.files.system import patiently
from dc_hub.files.urls import local_path
from dc_hub.hubs.contract import HubLike
from dc_hub.hubs.opening import open_hub
from dc_hub.site.links import FOLDER, file_of
from dc_hub.site.overview import overview
from dc_hub.site.pages import Pages

MARK: Final = "dc-site.json"
"""The file that marks a site; a directory without it is never replaced."""

_MARK: Final = b'{"format": "dc-site", "format_version": [1, 0]}\n'
_INDEX: Final = "index.html"


@dataclass(frozen=True, slots=True)
class Site:
    """A site that was written: where, how many models it shows, and which could not be read."""

    path: Path
    models: int
    unreadable: tuple[str, ...]


@explained
def write_site(
    hub: HubLike = None,
    *,
    to: str | os.PathLike[str],
    title: str = "Models",
    address: str = "",
    report: Callable[[int, int], None] | None = None,
) -> Site:
    """Write the pages of a hub into the directory ``to``, and return the written site.

    The pages need no server and load nothing from elsewhere. Equal hubs give equal bytes.
    ``title`` is that of the site; ``address`` is the URL or path at which its readers reach the
    hub, for the lines that they copy. ``report`` is told how many pages are written, of how many.

    The directory is written aside and moved into its place when it is complete. It replaces a site
    that this function wrote before, and an empty directory. Between the two renames that this takes
    there is no site for an instant; if the second fails, the old site is put back.

    A model that cannot be read has a page that says why. Raises :class:`AlreadyExists` if there is
    anything else in ``to``, :class:`HubUnavailable` and :class:`ReadOnlyHub`.
    """
    where = open_hub(hub)
    target = Path(os.path.realpath(local_path(to)))
    _check_replaceable(target)
    pages, known = Pages(where, title, address), overview(where)
    failed = set(known.unreadable)
    with writing(target, undone="The site was not written."):
        make_directory(target.parent)
        unfinished = temporary(target.parent)
        try:
            (unfinished / FOLDER).mkdir(parents=True)
            _write(unfinished / MARK, _MARK)
            _write(unfinished / _INDEX, pages.index(known))
            for number, name in enumerate(known.rows, 1):
                try:
                    content = pages.model(name, known)
                except HubError as error:
                    content = pages.unreadable(name, error)
                    failed.add(name)
                _write(unfinished / FOLDER / file_of(name), content)
                if report is not None:
                    report(number, len(known.rows))
            _replace(target, unfinished)
        finally:
            _remove(unfinished)
    return Site(target, len(known.rows), tuple(sorted(failed)))


def _write(file: Path, data: bytes) -> None:
    with file.open("xb") as stream:
        stream.write(data)


def _replace(target: Path, unfinished: Path) -> None:
    """Move a finished site into its place, and remove the one that was there."""
    _check_replaceable(target)
    aside = temporary(target.parent)
    try:
        with suppress(FileNotFoundError):
            patiently(lambda: target.rename(aside))
        patiently(lambda: unfinished.rename(target))
        sync_directory(target.parent)
    finally:
        if os.path.lexists(aside) and not os.path.lexists(target):
            aside.rename(target)
        _remove(aside)


def _check_replaceable(target: Path) -> None:
    """Raise :class:`AlreadyExists` unless ``target`` is a site, empty, or not there."""
    with writing(target, undone="The site was not written."):
        try:
            found = target.lstat()
        except FileNotFoundError:
            return
    if not stat.S_ISDIR(found.st_mode):
        raise UnsafePath(f"{target} is not a directory.", path=str(target))
    names = {entry.name for entry in os.scandir(target)}
    if not names:
        return
    foreign = sorted(names - {MARK, _INDEX, FOLDER})
    mark = target / MARK
    if MARK not in names or mark.is_symlink() or mark.read_bytes() != _MARK:
        foreign = foreign or [min(names)]
    elif (target / FOLDER).is_symlink():
        foreign = [FOLDER]
    elif not foreign and FOLDER in names:
        with os.scandir(target / FOLDER) as entries:
            foreign = [
                f"{FOLDER}/{entry.name}"
                for entry in entries
                if not entry.name.endswith(".html") or not entry.is_file(follow_symlinks=False)
            ][:1]
    if foreign:
        raise AlreadyExists(
            f"{target} contains {foreign[0]}, which is not part of a site of dc-hub.",
            path=str(target),
            hint="Give a new or empty directory, or the one of an earlier site.",
        )


def _remove(site: Path) -> None:
    """Remove a site and nothing else: its pages, its folder, and its directory if that is empty."""
    folder = site / FOLDER
    if not os.path.lexists(site):
        return
    if folder.is_dir() and not folder.is_symlink():
        for page in folder.glob("*.html"):
            page.unlink(missing_ok=True)
        folder.rmdir()
    for name in (_INDEX, MARK):
        (site / name).unlink(missing_ok=True)
    site.rmdir()
