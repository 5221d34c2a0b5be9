"""Whether signatures are valid, and whether they are those that the trust policy requires."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from dc_hub.errors import SignatureError
from dc_hub.format.filenames import BUNDLE, SIGNATURE
from dc_hub.format.signatures import parse_signatures
from dc_hub.trust.keys import PublicKey
from dc_hub.trust.policy import Rule
from dc_hub.trust.sigstore import bundle_key, bundle_verifies

Verdict = Literal["valid", "invalid", "unknown key", "malformed", "not checked"]


@dataclass(frozen=True, slots=True)
class CheckedSignature:
    """A signature of a model and the facts known about it.

    ``file`` contains it. ``key_id`` is the id of the key that is said to have made it (empty for a
    bundle that no known key verifies), and ``name`` the user's name for that key, if there is one.
    ``verdict`` tells whether it is valid. Of a key that is not known, nobody can tell; without the
    library that checks it, it is not checked; and a malformed file contains none. ``required``
    tells whether the trust policy counts this key for the place where the model is.
    """

    file: str
    key_id: str
    name: str
    verdict: Verdict
    required: bool = False


def check_signatures(
    files: Mapping[str, bytes],
    revision: str,
    manifest: Callable[[], bytes],
    keys: Iterable[PublicKey],
    *,
    names: Mapping[str, str],
    rule: Rule | None = None,
    where: str = "",
) -> list[CheckedSignature]:
    """Check the signature ``files`` of a revision with ``keys``; return the findings.

    ``manifest`` returns the bytes of the manifest, which have the digest ``revision``; it is
    called only if a bundle has to be checked. ``names`` are those of the keys by id, and ``where``
    is the model's place in messages. Raises :class:`SignatureError` for a malformed file, or if a
    library is not installed that a check needs.
    """
    known = {key.id: key for key in keys}
    wanted = rule.keys if rule is not None else {}
    checked = []
    if SIGNATURE in files:
        for signature in parse_signatures(files[SIGNATURE], what=f"{where}/{SIGNATURE}"):
            key = known.get(signature.key_id)
            verdict: Verdict = "unknown key"
            if key is not None:
                verdict = "valid" if key.verifies(signature, revision) else "invalid"
            checked.append((SIGNATURE, signature.key_id, verdict))
    if BUNDLE in files:
        key = bundle_key(files[BUNDLE], known.values(), what=f"{where}/{BUNDLE}")
        verdict = "unknown key"
        if key is not None:
            verdict = "valid" if bundle_verifies(key, files[BUNDLE], manifest()) else "invalid"
        checked.append((BUNDLE, "" if key is None else key.id, verdict))
    return [
        CheckedSignature(file, key_id, names.get(key_id, ""), verdict, key_id in wanted)
        for file, key_id, verdict in checked
    ]


def check_rule(
    rule: Rule,
    files: Mapping[str, bytes],
    revision: str,
    manifest: Callable[[], bytes],
    *,
    names: Mapping[str, str],
    where: str,
) -> None:
    """Raise :class:`SignatureError` unless the signatures of a revision satisfy ``rule``.

    The arguments are those of :func:`check_signatures`. What the error says names the keys that are
    required and those that were found.
    """
    if rule.threshold == 0:
        return
    checked = check_signatures(
        files, revision, manifest, rule.keys.values(), names=names, rule=rule, where=where
    )
    valid = {one.key_id for one in checked if one.verdict == "valid"}
    if len(valid) >= rule.threshold:
        return
    required = ", ".join(_shown(key_id, names) for key_id in rule.keys)
    number = f"{rule.threshold} of these keys" if len(rule.keys) > 1 else "the key"
    problems = [
        f"the signature of {_shown(one.key_id, names)} is not one of this model"
        if one.verdict == "invalid"
        else f"that of {_shown(one.key_id, names)} does not count here"
        for one in checked
        if one.verdict != "valid"
    ]
    found = "; ".join(problems) if problems else "it has no such signature"
    if valid:
        found = f"only {len(valid)} of them signed it" + (f"; {found}" if problems else "")
    raise SignatureError(
        f"{where} must be signed with {number}: {required}; {found}. (Revision {revision}.)",
        path=where,
        hint="Do not use it unless you know where it comes from. If you do, have it signed "
        f"(dc-hub sign MODEL --key NAME), or change the trust policy for {rule.where!r}.",
    )


def _shown(key_id: str, names: Mapping[str, str]) -> str:
    name = names.get(key_id)
    return f"{name} ({key_id})" if name else key_id or "an unknown key"
