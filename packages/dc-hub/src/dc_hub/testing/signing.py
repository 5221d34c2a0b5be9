"""Laws on trust: models have places, and signatures, of which none is lost."""

from __future__ import annotations

from functools import partial

from dc_core.testing import LawBroken, law
from dc_hub.errors import HubError, ReadOnlyHub
from dc_hub.format.filenames import SIGNATURE
from dc_hub.format.signatures import Signature, signature_bytes
from dc_hub.hubs.staging import Staging
from dc_hub.testing.samples import files, manifest_of, writer
from dc_hub.testing.subject import HubSubject, at_once
from dc_hub.trust.policy import place_of


def _signed_by(*signers: int) -> dict[str, bytes]:
    """Return the signature file of some signers, whose keys nobody has."""
    return {SIGNATURE: signature_bytes(Signature(f"{n:064x}", bytes([n] * 64)) for n in signers)}


class SigningLaws(HubSubject):
    """Laws on trust: models have places, and signatures, of which none is lost."""

    @law
    def test_trust_policies_can_tell_where_a_model_is(self) -> None:
        """``place`` is a whole path or URL, of that model alone, and the same on each machine."""
        with self.empty() as hub:
            self.store(hub, files(0))
            shown = hub.place(self.name)
            try:
                place, other = (
                    place_of(hub.place(name), absolute=True)
                    for name in (self.name, self.other_name)
                )
            except (HubError, ValueError) as error:
                raise LawBroken(
                    f"A trust policy cannot name the place {shown!r}: {error}.",
                    hint="Return an absolute path, or a URL of the scheme of the hub.",
                ) from error
            self.expect("That another model is in the same place is", other == place, False)
            with self.reopened(hub) as again:
                found = place_of(again.place(self.name))
                self.expect("Opened again, it is at", found, place)

    @law
    def test_a_model_has_the_signatures_that_it_was_published_with(self) -> None:
        """``signatures`` and a fetched directory have the signature files, and no others."""
        with self.empty() as hub:
            self.store(hub, files(0))
            self.expect("Of an unsigned model, it has", hub.signatures(hub.resolve(self.name)), {})
            if not self.publishes:
                return

            def write(staging: Staging) -> None:
                writer(files(1))(staging)
                staging.sign_with(lambda _: _signed_by(1))

            model = hub.publish(self.name, write)
            self.expect("Its revision is", model.revision, manifest_of(files(1)).revision)
            self.expect("It has", dict(hub.signatures(model)), _signed_by(1))
            with self.reopened(hub) as other:
                fetched = other.fetch(other.resolve(self.name))
                found = {
                    path.name: path.read_bytes()
                    for path in fetched.path.iterdir()
                    if path.name in _signed_by(1)
                }
                self.expect("In its directory are", found, _signed_by(1))

    @law
    def test_signatures_are_joined_and_none_is_lost(self) -> None:
        """``add_signatures`` keeps those that are there, whoever adds some at the same time."""
        with self.empty() as hub:
            self.store(hub, files(0))
            model = hub.resolve(self.name)
            if not self.publishes:
                call = partial(hub.add_signatures, model, _signed_by(1))
                self.refuses(ReadOnlyHub, "Asked to add a signature", call)
                return
            before = self.state(hub)
            hub.add_signatures(model, _signed_by(1))
            hub.add_signatures(model, _signed_by(2))
            self.expect("Of two signers, it has", dict(hub.signatures(model)), _signed_by(1, 2))
            with self.reopened(hub) as one, self.reopened(hub) as two:
                at_once(
                    [
                        partial(one.add_signatures, model, _signed_by(3)),
                        partial(two.add_signatures, model, _signed_by(4)),
                    ]
                )
            found = dict(hub.signatures(model))
            self.expect("Of two at once, it has", found, _signed_by(1, 2, 3, 4))
            hub.publish(self.name, writer(files(0)))
            found = dict(hub.signatures(model))
            self.expect("Published again, it has", found, _signed_by(1, 2, 3, 4))
            self.same_state(hub, before, "After it was signed, there is")
