"""The frame of every page: its policy, its style, its script, and nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources
from typing import Final

from dc_hub.site.markup import Content, Markup, element

FOOTER: Final = (
    "What these pages say was written by those who published the models. Loading a model verifies "
    "every file and executes none."
)


def page(title: str, *contents: Content, kind: str, script: str = "") -> bytes:
    """Return a page as UTF-8.

    ``kind`` is the class of its body, and ``script`` the name of its script among the files of this
    package, if it has one. A policy forbids the browser everything but the style and this script.
    The style is a part of each page, so that a page can be saved or sent by itself.
    """
    style, code = asset("style.css"), asset(script) if script else ""
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; img-src data:; base-uri 'none'; "
        "form-action 'none'" + (f"; script-src '{_digest(code)}'" if code else "")
    )
    head = (
        Markup('<meta charset="utf-8">'),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        Markup('<link rel="icon" href="data:,">'),
        element("title", title),
        Markup(f"<style>{style}</style>"),
    )
    body = (
        element("a", "Skip to the content", class_="skip", href="#content"),
        *contents,
        element("footer", element("p", FOOTER)),
        Markup(f"<script>{code}</script>") if code else None,
    )
    html = element(
        "html", element("head", *head), "\n", element("body", *body, class_=kind), lang="en"
    )
    return f"<!DOCTYPE html>\n{html}\n".encode()


@cache
def asset(name: str) -> str:
    """Return the content of a style sheet or script of this package."""
    return resources.files("dc_hub.site").joinpath(name).read_text("utf-8")


@cache
def _digest(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
