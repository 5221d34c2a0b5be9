"""Commands that sign models, and list, make, trust and remove keys."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from dc_hub.command.options import HubOption, JsonOption, ModelArgument, YesOption
from dc_hub.command.printing import Row, out, plain, print_columns, print_json
from dc_hub.publishing import signing
from dc_hub.trust import keyring
from dc_hub.trust.checking import CheckedSignature
from dc_hub.trust.keys import PublicKey

KeyArgument = Annotated[str, typer.Argument(metavar="NAME", help="The name of a key.")]


def sign(
    model: ModelArgument,
    key: Annotated[
        str, typer.Option(metavar="KEY", help="The name of a key of yours, or its file.")
    ],
    hub: HubOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign a model: say that you vouch for this revision of it.

    Other signatures stay, and so does the revision. The passphrase of an encrypted key is asked
    for, unless DEEPCHEM_PASSPHRASE is set.
    """
    passphrase = None
    if keyring.PASSPHRASE not in os.environ and keyring.is_encrypted(key) and sys.stdin.isatty():
        passphrase = typer.prompt("Passphrase", hide_input=True, err=True)
    signed = signing.sign(model, key=key, passphrase=passphrase, hub=hub)
    if as_json:
        print_json({"name": signed.name, "revision": signed.revision, "path": str(signed.path)})
        return
    out.print(f"[green]signed[/]  {plain(model)}  revision {signed.revision}")


def list_keys(as_json: JsonOption = False) -> None:
    """List the keys that you know, and which of them are your own."""
    found = keyring.list_keys()
    if as_json:
        print_json([_fact(name, key) for name, key in found.items()])
        return
    rows = [("name", "kind", "id")]
    for name, key in found.items():
        own = ", your own" if keyring.has_private(name) else ""
        rows.append((name, f"{_kind(key)}{own}", key.id))
    if len(rows) == 1:
        out.print(plain(f"There is no key in {keyring.keys_folder()} yet."))
        return
    print_columns(*([row] for row in rows))


def new_key(
    name: KeyArgument,
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help="Ask for a passphrase to encrypt it with.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a key to sign with.

    The private key stays in your configuration folder. Give others the public key. With
    --passphrase the private key is encrypted; DEEPCHEM_PASSPHRASE is used if it is set.
    """
    secret = None
    if passphrase:
        secret = os.environ.get(keyring.PASSPHRASE) or typer.prompt(
            "Passphrase", hide_input=True, confirmation_prompt=True, err=True
        )
    key = keyring.new_key(name, passphrase=secret)
    if as_json:
        print_json(_fact(name, key))
        return
    out.print(f"[green]made[/]  {plain(name)}  key {key.id}")
    out.print(plain(f"For others: {keyring.keys_folder() / name}.pub"))


def trust_key(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The public key: NAME.pub.")],
    name: Annotated[str, typer.Option(metavar="NAME", help="What to call the key.")],
    as_json: JsonOption = False,
) -> None:
    """Know somebody's public key by a name, which trust policies refer to.

    Compare its id with the one that its owner tells you, by another way than you got the file.
    """
    key = keyring.trust_key(file, name)
    if as_json:
        print_json(_fact(name, key))
        return
    out.print(f"[green]known[/]  {plain(name)}  key {key.id}")


def remove_key(name: KeyArgument, yes: YesOption = False) -> None:
    """Forget a key.

    If it is your own, nobody can sign with it any more, so this asks first.
    """
    own = keyring.has_private(name)
    if own and not yes:
        typer.confirm(f"Remove your own private key {name} for ever?", abort=True, err=True)
    keyring.remove_key(name, private=own)
    out.print(f"[green]removed[/]  {plain(name)}")


def signature_row(signature: CheckedSignature) -> Row:
    """Return the table entry for a signature."""
    key = f"{signature.name} ({signature.key_id})" if signature.name else signature.key_id
    required = ", which the trust policy counts here" if signature.required else ""
    return "signature", f"{signature.verdict}: {key or signature.file}{required}"


def _kind(key: PublicKey) -> str:
    return "Ed25519" if key.is_ed25519 else "NIST curve"


def _fact(name: str, key: PublicKey) -> dict[str, object]:
    return {
        "name": name,
        "id": key.id,
        "kind": _kind(key),
        "own": keyring.has_private(name),
        "public_key": key.to_text(),
    }
