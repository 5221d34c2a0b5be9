"""Where the page of a model is.

All pages are in one folder. ``~`` stands for the slash of a name, which no other part of a name can
be, so no two models have one page, and no page is where another needs a folder.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from dc_hub.files.paths import check_name

FOLDER: Final = "models"


def file_of(name: str) -> str:
    """Return the file name of the page of a model in the folder. Raises :class:`UnsafePath`."""
    return f"{check_name(name).replace('/', '~')}.html"


def page_of(name: str, *, inside: bool = False) -> str:
    """Return the link to the page of a model from the index, or from ``inside`` the folder."""
    link = quote(file_of(name))
    return link if inside else f"{FOLDER}/{link}"


def name_of(file: str) -> str:
    """Return the model whose page has the file name ``file``. Raises :class:`UnsafePath`."""
    return check_name(file.removesuffix(".html").replace("~", "/"))
