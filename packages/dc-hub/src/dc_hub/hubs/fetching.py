"""Fetch models, if the user's trust policy allows it.

Every model that is loaded, inspected or pulled comes through here. A signature is over the digest
that names the revision, so it is checked before anything of the model is fetched or parsed; what
is read later must have that digest.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from dc_hub.errors import FileMissing, FormatVersionError, LimitExceeded, SignatureError
from dc_hub.files.paths import is_directory, open_directory, read_small
from dc_hub.files.storage import write_atomically, writing
from dc_hub.format.filenames import MANIFEST
from dc_hub.format.manifest import MAX_BYTES
from dc_hub.format.signatures import read_signature_files
from dc_hub.hubs.contract import Hub, Report, StoredModel
from dc_hub.hubs.several import answering
from dc_hub.trust.checking import check_rule
from dc_hub.trust.policy import Policy, Rule, load_policy


def fetch(
    hub: Hub, model: StoredModel, *, report: Report | None = None, verify: bool = False
) -> StoredModel:
    """Return a model that ``hub`` resolved, with its files in its directory; see :meth:`Hub.fetch`.

    Raises what :func:`check_trust` and the hub raise.
    """
    signatures = check_trust(hub, model)
    fetched = hub.fetch(model, report=report, verify=verify)
    with writing(fetched.path):
        for name, data in signatures.items():
            write_atomically(fetched.path / name, data, aside=fetched.path.parent)
    return fetched


def check_trust(hub: Hub, model: StoredModel) -> Mapping[str, bytes]:
    """Raise unless the user's trust policy allows a model that ``hub`` resolved.

    Returns the signature files that the policy counts and that are not in the model's directory.
    Raises :class:`SignatureError` if the policy requires signatures that the model does not have,
    :class:`PolicyError` if the policy cannot be used, and what the hub raises.
    """
    policy = load_policy()
    hub = answering(hub, model.name, model.revision)
    place = hub.place(model.name)
    rule = policy.rule(place) if policy is not None else None
    if policy is None or rule is None or rule.threshold == 0:
        return {}
    there = read_signature_files(model.path) if is_directory(model.path) else {}
    check = partial(
        check_rule,
        rule,
        revision=model.revision,
        manifest=lambda: hub.manifest(model).to_bytes(),
        names=policy.names,
        where=place,
    )
    try:
        check(there)
    except (SignatureError, FormatVersionError, LimitExceeded):
        # What was fetched from another hub, or before it was signed, may be signed by now.
        found = hub.signatures(model)
        if found == there:
            raise
        check(found)
        return found
    return {}


def trusted_directory(directory: Path) -> StoredModel:
    """Return the model in a ``directory``, if the user's trust policy allows it.

    If there is a policy, the path is one without links, so that the place is the one that was
    checked. If it requires signatures, the revision is that of the manifest that is signed, and
    nothing else may be read as the model. Raises :class:`SignatureError` and :class:`PolicyError`.
    """
    policy = load_policy()
    if policy is None:
        return StoredModel("", "", directory)
    directory = Path(os.path.realpath(directory))
    rule = policy.rule(str(directory))
    if rule is None or rule.threshold == 0:
        return StoredModel("", "", directory)
    with open_directory(directory) as folder:
        try:
            manifest = read_small(folder, MANIFEST, MAX_BYTES)
        except FileMissing as error:
            raise _unversioned(directory, rule, policy) from error
        files = read_signature_files(folder)
    revision = hashlib.sha256(manifest).hexdigest()
    check_rule(rule, files, revision, lambda: manifest, names=policy.names, where=str(directory))
    return StoredModel("", revision, directory)


def _unversioned(directory: Path, rule: Rule, policy: Policy) -> SignatureError:
    return SignatureError(
        f"{directory} has no {MANIFEST}, and so no signature of it, which {policy.source} "
        f"requires for {rule.where!r}.",
        path=str(directory),
        hint="Get the model from where it was published.",
    )
