"""Read the card of a stored model, and change it: a new revision with the same weights."""

from __future__ import annotations

from collections.abc import Iterable

from dc_core import explained
from dc_hub.errors import FileMissing
from dc_hub.files.paths import read_small
from dc_hub.format.filenames import CARD, MANIFEST, SIGNATURES
from dc_hub.hubs.contract import MAIN, HubLike, StoredModel, tags_to_move
from dc_hub.hubs.fetching import fetch
from dc_hub.hubs.local import LocalHub
from dc_hub.hubs.locating import hub_of, in_hub
from dc_hub.hubs.reference import ModelName, parse
from dc_hub.hubs.staging import Staging
from dc_hub.hubs.summaries import CARD_BYTES, SmallFiles
from dc_hub.loading.opening import locate, open_model
from dc_hub.publishing.card import with_author
from dc_hub.publishing.directories import copy_file


@explained
def card(name: ModelName, *, hub: HubLike = None, revision: str | None = None) -> str:
    """Return the model card of the model ``name``: its README.md, Markdown with front matter.

    Nothing else is fetched. The arguments and errors are those of :func:`from_pretrained`; a model
    without a card raises :class:`FileMissing`.
    """
    reference = parse(name, revision)
    if reference.directory is None:
        where = hub_of(reference, hub)
        files = SmallFiles(where, where.resolve(reference.name, reference.revision))
        return files.read(CARD, CARD_BYTES).decode(errors="replace")
    source = locate(name)
    try:
        files = SmallFiles(LocalHub(source.path.parent), source)
    except FileMissing:
        if (source.path / MANIFEST).exists():
            raise
        return read_small(source.path, CARD, CARD_BYTES).decode(errors="replace")
    return files.read(CARD, CARD_BYTES).decode(errors="replace")


@explained
def set_card(
    name: ModelName,
    text: str,
    *,
    hub: HubLike = None,
    revision: str | None = None,
    tag: str | Iterable[str] = (),
) -> StoredModel:
    """Change the author's part of a stored model's card, and return the new revision.

    The part of the card that dc-hub wrote, between two comments, stays as it is, whatever ``text``
    has there, and so do its keys of the front matter. ``text`` is the whole card, edited, or what
    comes before that part. All other files are copied byte for byte, and verified meanwhile. The
    old revision stays; ``main`` moves if it points at it, and each ``tag`` moves too. Signatures
    are those of a revision, so the new one has none.

    Raises :class:`ParamsError` for text with control characters or complicated front matter,
    :class:`LimitExceeded`, and the errors of :func:`publish` and :func:`pull`.
    """
    reference, where = in_hub(name, hub, revision)
    source = where.resolve(reference.name, reference.revision)
    was_main = where.tags(reference.name).get(MAIN) == source.revision
    source = fetch(where, source)
    with open_model(source, versioned=True) as opened:
        contents = opened.contents
        old = ""
        if CARD in contents.names:
            old = contents.read(CARD, CARD_BYTES).decode(errors="replace")
        new = with_author(old, text).encode()
        names = sorted(contents.sizes().keys() - {CARD, MANIFEST, *SIGNATURES})

        def write(staging: Staging) -> None:
            for file in names:
                copy_file(contents, file, staging)
            staging.write(CARD, new)
            contents.check_unchanged()

        return where.publish(reference.name, write, tags_to_move(tag, was_main))
