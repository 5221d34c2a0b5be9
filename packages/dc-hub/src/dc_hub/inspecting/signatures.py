"""``dc_hub.signatures``: who signed a stored model, and whether that can be believed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from dc_core import explained
from dc_hub.errors import FormatVersionError, LimitExceeded, SignatureError
from dc_hub.files.paths import open_directory, read_small
from dc_hub.format.filenames import MANIFEST
from dc_hub.format.manifest import MAX_BYTES
from dc_hub.format.signatures import read_signature_files
from dc_hub.hubs.contract import HubLike, StoredModel
from dc_hub.hubs.locating import hub_of
from dc_hub.hubs.reference import ModelName, parse
from dc_hub.trust.checking import CheckedSignature, Verdict, check_signatures
from dc_hub.trust.keyring import list_keys
from dc_hub.trust.policy import Policy, load_policy, names_by_id


@explained
def signatures(
    name: ModelName, *, hub: HubLike = None, revision: str | None = None
) -> list[CheckedSignature]:
    """Return the signatures of the model ``name``, as its hub has them now, and check them.

    Nothing but signatures (and, for a bundle, the manifest) is read, so this shows why a model is
    refused by the trust policy. The arguments and errors are those of :func:`from_pretrained`, but
    no signature is an error: each says what was found.
    """
    reference = parse(name, revision)
    if reference.directory is not None:
        directory = reference.directory.absolute()
        return signatures_in(StoredModel("", "", directory), str(directory))
    where = hub_of(reference, hub)
    model = where.resolve(reference.name, reference.revision)
    return _checked(
        where.signatures(model),
        model.revision,
        lambda: where.manifest(model).to_bytes(),
        where.place(model.name),
    )


def signatures_in(model: StoredModel, where: str) -> list[CheckedSignature]:
    """Return the signatures in the directory of ``model``; ``where`` is its place in policies."""
    with open_directory(model.path) as folder:
        files = read_signature_files(folder)
        manifest = read_small(folder, MANIFEST, MAX_BYTES) if files else b""
    revision = model.revision or hashlib.sha256(manifest).hexdigest()
    return _checked(files, revision, lambda: manifest, where)


def check_directory(model: StoredModel) -> None:
    """Raise :class:`SignatureError` if a signature in the directory of ``model`` is not valid.

    One of a key that is not known counts as valid. One of a known key that cannot be checked,
    because a library is missing, raises too.
    """
    for found in signatures_in(model, str(model.path)):
        if found.verdict in ("invalid", "malformed", "not checked"):
            shown = f"{model.path}/{found.file}"
            raise SignatureError(
                f"{shown}: the signature of {found.name or found.key_id or 'an unknown key'} is "
                f"{found.verdict}.",
                path=shown,
                hint='To check signatures, run: pip install "dc-hub[sign]"'
                if found.verdict == "not checked"
                else "Get the model from where it was published, or remove that file.",
            )


def _checked(
    files: Mapping[str, bytes], revision: str, manifest: Callable[[], bytes], where: str
) -> list[CheckedSignature]:
    """Check each file, and report why one cannot be checked."""
    policy: Policy | None = load_policy()
    keys = policy.keys if policy is not None else list_keys()
    names = names_by_id(keys)
    rule = policy.rule(where) if policy is not None else None
    found: list[CheckedSignature] = []
    for name, data in sorted(files.items()):
        try:
            found += check_signatures(
                {name: data},
                revision,
                manifest,
                keys.values(),
                names=names,
                rule=rule,
                where=where,
            )
        except (SignatureError, FormatVersionError, LimitExceeded) as error:
            missing = isinstance(error.__cause__, ModuleNotFoundError)
            verdict: Verdict = "not checked" if missing else "malformed"
            found.append(CheckedSignature(name, "", "", verdict))
    return found
