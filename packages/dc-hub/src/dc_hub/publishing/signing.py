"""Sign models that are stored already: a signature is added, and the revision stays the same."""

from __future__ import annotations

from dc_core import explained
from dc_hub.files.paths import open_directory
from dc_hub.files.storage import writing
from dc_hub.format.filenames import MANIFEST
from dc_hub.format.manifest import read_manifest
from dc_hub.hubs.contract import HubLike, StoredModel
from dc_hub.hubs.locating import hub_of
from dc_hub.hubs.reference import ModelName, parse
from dc_hub.hubs.staging import add_signatures
from dc_hub.trust.keyring import Key, load_key


@explained
def sign(
    name: ModelName,
    *,
    key: Key,
    passphrase: str | None = None,
    hub: HubLike = None,
    revision: str | None = None,
) -> StoredModel:
    """Sign the stored model ``name`` with ``key``, and return the revision that was signed.

    A signature says that the owner of the key vouches for the revision, which names every file by
    its digest; no file is read but the manifest. Other signatures stay. Signing again changes
    nothing.

    Args:
        name: A model in a hub, or a directory, as for :func:`from_pretrained`.
        key: The name of a key (see :func:`new_key`), the path of its file, or what
            :func:`load_key` returns.
        passphrase: That of an encrypted key, unless ``DEEPCHEM_PASSPHRASE`` gives it.
        hub: A hub or its path. Default: ``DEEPCHEM_MODEL_HUB``, then the user's data folder.
        revision: A digest, a tag (default ``main``), or at least 12 digits of a digest.

    Raises :class:`KeyFileError` if the key cannot be used, :class:`ReadOnlyHub` for a hub on a web
    server, :class:`FileMissing` for a directory without a manifest, :class:`SignatureError` if the
    file of signatures is malformed, and the errors of :meth:`Hub.resolve`.
    """
    signer = load_key(key, passphrase=passphrase)
    reference = parse(name, revision)
    if reference.directory is not None:
        path = reference.directory.absolute()
        with open_directory(path) as folder:
            manifest = read_manifest(folder, "", f"{path}/{MANIFEST}")
        with writing(path, undone="No signature was added."):
            add_signatures(path, signer.sign(manifest.to_bytes()))
        return StoredModel("", manifest.revision, path)
    where = hub_of(reference, hub)
    model = where.resolve(reference.name, reference.revision)
    where.add_signatures(model, signer.sign(where.manifest(model).to_bytes()))
    return model
