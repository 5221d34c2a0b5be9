"""Render a model card: Markdown of a stranger as HTML that cannot do anything.

HTML in a card is shown as text. Links lead to http and https alone, or to a file of the model;
images are not loaded, and their descriptions stand in their place.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from html import escape
from typing import Final
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

from dc_core import escape_controls
from dc_hub.format.summary import BEGIN, END
from dc_hub.site.markup import Markup, element

MAX_RENDERED: Final = 30_000
"""Longer cards are shown as they are written: some patterns take quadratic time to parse."""

MAX_SHOWN: Final = 200_000
"""So many characters of a card are shown."""

_FRONT_MATTER: Final = re.compile(r"\A---[ \t]*\n(?:.*\n)*?(?:---|\.\.\.)[ \t]*(?:\n|\Z)")
_TITLE: Final = re.compile(r"\A\s*# [^\n]*(?:\n|\Z)")
_ALIGNED: Final = {"text-align:right": "right", "text-align:center": "centre"}
_LOWEST: Final = 6


def render_card(text: str, files: Collection[str] = ()) -> Markup:
    """Return the card ``text`` as HTML, without its front matter and its first heading.

    The part that dc-hub generated is left out, since the page says all of it, and so are comments.
    Nothing is returned for a card that has only headings besides. ``files`` are the model's: a link
    to one of them leads to its row on the page, ``#file-<name>``.
    """
    text = _FRONT_MATTER.sub("", text.replace("\r\n", "\n"), count=1)
    text = _without(_without(text, BEGIN, END), "<!--", "-->")
    body = _TITLE.sub("", text, count=1)
    if not any(line.strip() and not line.startswith("#") for line in body.split("\n")):
        return Markup()
    if len(body) > MAX_RENDERED:
        more = "" if len(body) <= MAX_SHOWN else f"\n… ({len(body):,} characters in all)"
        return element("pre", _literal(body[:MAX_SHOWN] + more), class_="written", tabindex="0")
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.validateLink = _may_be_followed  # type: ignore[method-assign]
    tokens = parser.parse(body)
    _tame(tokens, frozenset(files))
    return Markup(parser.renderer.render(tokens, parser.options, {}))


def _without(text: str, begin: str, end: str) -> str:
    """Return ``text`` without the parts between lines that start with ``begin`` and an ``end``.

    It is found by searching forward once: a regular expression would begin again at each start.
    """
    kept: list[str] = []
    place = 0
    while True:
        start = 0 if place == 0 and text.startswith(begin) else text.find(f"\n{begin}", place)
        stop = text.find(end, start + len(begin)) if start >= 0 else -1
        if stop < 0:
            return "".join((*kept, text[place:]))
        kept.append(text[place:start])
        place = stop + len(end)


def _may_be_followed(url: str) -> bool:
    try:
        return urlsplit(url).scheme.lower() in ("", "http", "https")
    except ValueError:
        return False


def _tame(tokens: Iterable[Token], files: frozenset[str]) -> None:
    """Leave tokens nothing but text, structure, and links that may be followed."""
    shown: list[bool] = []
    for token in tokens:
        attributes: dict[str, str | int | float] = {}
        if token.type == "link_open":
            attributes = _link(str(token.attrGet("href") or ""), files)
            shown.append(bool(attributes))
            token.hidden = not attributes
        elif token.type == "link_close":
            token.hidden = not shown.pop()
        elif token.type == "image":
            _describe(token)
        elif token.tag in ("th", "td"):
            side = _ALIGNED.get(str(token.attrGet("style")))
            attributes = {"class": side} if side else {}
        elif token.tag == "ol" and token.attrGet("start") is not None:
            attributes = {"start": int(token.attrGet("start") or 1)}
        elif token.tag in ("h1", "h2", "h3", "h4", "h5", "h6"):
            token.tag = f"h{min(int(token.tag[1]) + 2, _LOWEST)}"
        token.attrs = attributes
        token.info = ""
        token.content = _without_controls(token.content)
        if token.type == "inline":
            _tame(token.children or (), files)


def _link(url: str, files: frozenset[str]) -> dict[str, str | int | float]:
    """Return the attributes of a link to ``url``; none if it should not be one."""
    parts = urlsplit(url)
    if parts.scheme and parts.netloc:
        return {"href": url, "rel": "nofollow noopener noreferrer"}
    file = unquote(parts.path).removeprefix("./")
    if not parts.scheme and not parts.netloc and file in files:
        return {"href": f"#file-{file}"}
    return {}


def _describe(image: Token) -> None:
    """Turn an image into the text that describes it."""
    words = [child.content for child in image.children or () if child.content]
    image.type, image.tag = "code_inline", "code"
    image.content = f"image: {' '.join(words) or 'without a description'}"
    image.children = None


def _literal(text: str) -> Markup:
    return Markup(escape(_without_controls(text)))


def _without_controls(text: str) -> str:
    """Return ``text`` with its lines, and escapes for other control and format characters."""
    if text.isprintable():
        return text
    return "\n".join(map(escape_controls, text.expandtabs(4).split("\n")))
