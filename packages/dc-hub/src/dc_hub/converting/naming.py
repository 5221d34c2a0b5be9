"""Other names for the weights of a file, and weights that are left out, as the user says.

A name that ends in a dot or a slash is the beginning of many: ``encoder.`` stands for every weight
of that layer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from dc_core import DCError
from dc_core.errors import ConversionError

_ENDS = (".", "/")


def left_out(names: Iterable[str], omit: Collection[str]) -> list[str]:
    """Return those of ``names`` that ``omit`` names, or names the beginning of.

    Raises :class:`dc_core.errors.ConversionError` if one of ``omit`` names nothing.
    """
    given = list(names)
    found = {name for name in given for rule in omit if _applies(rule, name)}
    _check_used(omit, given, "omit")
    return [name for name in given if name in found]


def renamed(names: Iterable[str], rename: Mapping[str, str]) -> dict[str, str]:
    """Return the new name of each of ``names``, by the longest of the rules that apply.

    Raises :class:`dc_core.errors.ConversionError` if a rule applies to nothing, or two weights
    would have one name.
    """
    given = list(names)
    _check_used(rename, given, "rename")
    found = {}
    for name in given:
        rules = [rule for rule in rename if _applies(rule, name)]
        rule = max(rules, key=len, default="")
        found[name] = rename[rule] + name[len(rule) :] if rules else name
    owner: dict[str, str] = {}
    for old, new in found.items():
        if new in owner or not new:
            raise ConversionError(
                f"rename would give {old!r} the name {new!r}"
                + (f", which is that of {owner[new]!r} too." if new in owner else "."),
                hint="Choose names that differ.",
            )
        owner[new] = old
    return found


def _applies(rule: str, name: str) -> bool:
    return name == rule or (rule.endswith(_ENDS) and name.startswith(rule))


def _check_used(rules: Iterable[str], names: Collection[str], argument: str) -> None:
    for rule in rules:
        if not any(_applies(rule, name) for name in names):
            raise _unused(rule, names, argument)


def _unused(rule: str, names: Collection[str], argument: str) -> DCError:
    shown = ", ".join(map(repr, list(names)[:8]))
    return ConversionError(
        f"{argument} names {rule!r}, which the file does not have.",
        hint=f"It has {shown}{' and more' if len(names) > 8 else ''}. A name that ends in a dot "
        "stands for all that begin with it.",
    )
