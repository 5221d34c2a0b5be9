"""Licences by the identifiers that Hugging Face's hub accepts in a card.

It refuses a card whose licence it does not know. The identifiers are those of its documentation
("Licenses"); most are SPDX's in lower case.
"""

from __future__ import annotations

import re
from typing import Final

OTHER: Final = "other"

_IDENTIFIERS: Final = frozenset(
    [
        "afl-3.0",
        "agpl-3.0",
        "apache-2.0",
        "artistic-2.0",
        "bigcode-openrail-m",
        "bigscience-bloom-rail-1.0",
        "bigscience-openrail-m",
        "bsd",
        "bsd-2-clause",
        "bsd-3-clause",
        "bsd-3-clause-clear",
        "bsl-1.0",
        "c-uda",
        "cc",
        "cc-by-2.0",
        "cc-by-2.5",
        "cc-by-3.0",
        "cc-by-4.0",
        "cc-by-nc-2.0",
        "cc-by-nc-3.0",
        "cc-by-nc-4.0",
        "cc-by-nc-nd-3.0",
        "cc-by-nc-nd-4.0",
        "cc-by-nc-sa-2.0",
        "cc-by-nc-sa-3.0",
        "cc-by-nc-sa-4.0",
        "cc-by-nd-4.0",
        "cc-by-sa-3.0",
        "cc-by-sa-4.0",
        "cc0-1.0",
        "cdla-permissive-1.0",
        "cdla-permissive-2.0",
        "cdla-sharing-1.0",
        "creativeml-openrail-m",
        "deepfloyd-if-license",
        "ecl-2.0",
        "epl-1.0",
        "epl-2.0",
        "etalab-2.0",
        "eupl-1.1",
        "gemma",
        "gfdl",
        "gpl",
        "gpl-2.0",
        "gpl-3.0",
        "isc",
        "lgpl",
        "lgpl-2.1",
        "lgpl-3.0",
        "lgpl-lr",
        "llama2",
        "lppl-1.3c",
        "mit",
        "mpl-2.0",
        "ms-pl",
        "ncsa",
        "odbl",
        "odc-by",
        "ofl-1.1",
        "openrail",
        "openrail++",
        "osl-3.0",
        "pddl",
        "postgresql",
        "unknown",
        "unlicense",
        "wtfpl",
        "zlib",
    ]
)


def in_card(licence: str) -> tuple[str, str | None]:
    """Return the identifier for a card, and for another licence than those known its name.

    ``licence`` is SPDX's identifier, or any name. ``GPL-3.0-only`` is ``gpl-3.0``.
    """
    lower = licence.strip().lower()
    short = re.sub("-(only|or-later)$", "", lower)
    if short in _IDENTIFIERS:
        return short, None
    name = re.sub("[^a-z0-9.]+", "-", lower).strip("-.")
    return OTHER, name[:96] or "unnamed"
