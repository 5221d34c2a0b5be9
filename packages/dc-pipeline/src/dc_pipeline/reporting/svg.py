"""Put drawings of matplotlib and RDKit into a page: as SVG elements in the page's colours."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree

from dc_pipeline.reporting.palette import COLOURS
from dc_pipeline.reporting.plotting import save_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NAMES: Final = {colour: name for name, colour in COLOURS.items()}
_COLOUR = re.compile("|".join(_NAMES), re.IGNORECASE)
_REFERENCE = re.compile(r"#([\w-]+)")
_FONT = re.compile(r"font: (?:(?:normal|italic|bold|\d{3}) )*([\d.]+px) [^;]+")
_REMOVED: Final = frozenset({"metadata", "style", "title", "desc"})


def figure_svg(figure: Figure, name: str) -> str:
    """Return ``figure`` as an SVG element for an HTML page; its names begin with ``name``.

    The element labelled ``name`` describes it to those who cannot see it.
    """
    text = io.StringIO()
    save_svg(figure, text)
    return inline_svg(text.getvalue(), name, {"aria-labelledby": name})


def inline_svg(text: str, name: str, attributes: dict[str, str]) -> str:
    """Return an SVG document as an element of an HTML page.

    Colours of the palette become the page's own, so that they follow its light or dark scheme, and
    text takes the page's font. Names within the document get the prefix ``name``, because a page
    has one space of names; those that nothing refers to are dropped. The size is the viewer's.
    """
    root = ElementTree.fromstring(text)
    for parent in list(root.iter()):
        for child in list(parent):
            if _local(child.tag) in _REMOVED:
                parent.remove(child)
    used = {
        found
        for element in root.iter()
        for value in element.attrib.values()
        if "#" in value
        for found in _REFERENCE.findall(value)
    }
    for element in root.iter():
        element.tag = _local(element.tag)
        given = {_local(key): value for key, value in element.attrib.items()}
        element.attrib.clear()
        element.attrib.update(_adapted(given, name, used))
    for size in ("width", "height", "version"):
        root.attrib.pop(size, None)
    root.attrib.update({"xmlns": "http://www.w3.org/2000/svg", "role": "img", **attributes})
    return ElementTree.tostring(root, encoding="unicode")


def _adapted(given: dict[str, str], name: str, used: set[str]) -> dict[str, str]:
    """Return an element's attributes with the page's names and colours."""
    found: dict[str, str] = {}
    styles = [given.pop("style").strip()] if "style" in given else []
    for key, value in given.items():
        if key == "id":
            if value in used:
                found["id"] = f"{name}-{value}"
        elif key in ("fill", "stroke") and _COLOUR.fullmatch(value):
            styles.append(f"{key}: {value}")  # an attribute cannot refer to a variable
        elif key == "href" and value.startswith("#"):
            found[key] = f"#{name}-{value[1:]}"
        elif "url(#" in value:
            found[key] = value.replace("url(#", f"url(#{name}-")
        elif key not in ("class", "space"):
            found[key] = value
    if styles:
        style = _COLOUR.sub(_variable, "; ".join(styles)).replace("url(#", f"url(#{name}-")
        found["style"] = _FONT.sub(r"font-size: \1", style)
    return found


def _variable(match: re.Match[str]) -> str:
    return f"var(--{_NAMES[match[0].lower()]})"


def _local(name: str) -> str:
    return name.rpartition("}")[2]
