"""Where the page of a model is.

All pages are in one folder. In the name of a file ``~`` stands for the slash of a model's name and
``=a`` for a capital A. No name has these characters, so no two models have one page, not even where
file systems ignore case, and no page is where another needs a folder. Where that makes a name too
long for a file system, its capitals are a number at the end: the bits of ``aB==2`` say which.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

from dc_hub.files.paths import check_any_name

FOLDER: Final = "models"

_LONGEST: Final = 240
"""File systems allow 255 bytes in the name of a file."""


def file_of(name: str) -> str:
    """Return the file name of the page of a model in the folder. Raises :class:`UnsafePath`."""
    plain = re.sub("[A-Z]", lambda found: f"={found[0].lower()}", check_any_name(name))
    if len(plain) > _LONGEST:
        capitals = sum(1 << i for i, letter in enumerate(name) if letter.isupper())
        plain = f"{name.lower()}=={capitals:x}"
    return f"{plain.replace('/', '~')}.html"


def name_of(file: str) -> str:
    """Return the model whose page has the file name ``file``. Raises :class:`UnsafePath`."""
    plain = file.removesuffix(".html").replace("~", "/")
    if found := re.fullmatch("([^=]+)==([0-9a-f]{1,64})", plain):
        capitals = int(found[2], 16)
        letters = enumerate(found[1])
        plain = "".join(x.upper() if capitals >> i & 1 else x for i, x in letters)
        return check_any_name(plain)
    return check_any_name(re.sub("=([a-z])", lambda found: found[1].upper(), plain))


def page_of(name: str, *, inside: bool = False) -> str:
    """Return the link to the page of a model from the index, or from ``inside`` the folder."""
    link = quote(file_of(name))
    return link if inside else f"{FOLDER}/{link}"
