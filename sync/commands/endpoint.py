"""`stripe-mongo-sync endpoint`: make the webhook endpoint at Stripe, keep it right, and roll its secret."""

import argparse
from typing import TYPE_CHECKING, Any

from stripe_mongo_sync.sync.commands.cli import command, group, say
from stripe_mongo_sync.sync.process.screen import word
from stripe_mongo_sync.sync.process.starting import PROGRAM

if TYPE_CHECKING:
    from stripe_mongo_sync.sync.commands.cli import Commands


def add(commands: "Commands") -> None:
    """Describe the command line."""
    actions = group(commands, "endpoint", "make the webhook endpoint at Stripe, keep it right, roll its secret")
    made = command(actions, "create", "make one, with the events that are covered and our API version", create)
    made.add_argument("url", help="https://<your host>/webhooks/stripe")
    command(actions, "list", "every webhook endpoint, and what is wrong with it", show_all, reads=True)
    for name, help, run in (
        ("update", "send exactly the events that are covered, and enable it", update),
        ("roll", "begin to roll its secret: make a second one for the same address", roll),
    ):
        one = command(actions, name, help, run)
        one.add_argument("id", nargs="?", help="we_…; may be left out where only one leads here")
    old = command(actions, "delete", "remove one, which is how a roll ends", delete)
    old.add_argument("id", help="we_…")
    old.add_argument("--force", action="store_true", help="even if no other endpoint is ready to take over")


def create(given: argparse.Namespace) -> int:
    """Make one, and show its secret."""
    from stripe_mongo_sync.sync.operator import endpoint

    made, secret = endpoint.create(given.url)
    say(
        given,
        {**made.shown(), "secret": secret},
        _line(made.shown()),
        f"Its secret, shown only now: {secret}",
        "Put it into STRIPE_WEBHOOK_SECRET, and restart the service.",
    )
    return 0


def show_all(given: argparse.Namespace) -> int:
    """List them."""
    from stripe_mongo_sync.sync.operator import endpoint

    told = [each.shown() for each in endpoint.listed()]
    say(given, told, *(map(_line, told) if told else ["there is none: make one with `endpoint create URL`"]))
    return 0


def update(given: argparse.Namespace) -> int:
    """Bring one up to date."""
    from stripe_mongo_sync.sync.operator import endpoint

    told = endpoint.update(endpoint.endpoint_of(given.id)).shown()
    say(given, told, _line(told))
    return 0


def roll(given: argparse.Namespace) -> int:
    """Begin to roll a secret, and show the new one."""
    from stripe_mongo_sync.sync.operator import endpoint

    old = endpoint.endpoint_of(given.id)
    made, secret = endpoint.roll(old)
    say(
        given,
        {**made.shown(), "secret": secret, "old": old.id},
        _line(made.shown()),
        f"Its secret, shown only now: {secret}",
        "1. Add it to STRIPE_WEBHOOK_SECRET, behind the old one and a comma, and restart the service everywhere.",
        "   Until then Stripe keeps what the new endpoint could not deliver, and the old one delivers it.",
        f"2. Then end the roll: {PROGRAM} endpoint delete {word(old.id)}",
        "3. Take the old secret out of STRIPE_WEBHOOK_SECRET.",
    )
    return 0


def delete(given: argparse.Namespace) -> int:
    """Remove one."""
    from stripe_mongo_sync.sync.operator import endpoint

    endpoint.delete(endpoint.endpoint_of(given.id), force=given.force)
    say(given, {"deleted": given.id}, f"{given.id} is deleted; take its secret out of STRIPE_WEBHOOK_SECRET")
    return 0


def _line(one: dict[str, Any]) -> str:
    from stripe_mongo_sync.sync.stripe.answers import api_version

    told = [] if one["ours"] else ["leads elsewhere"]
    if one["api_version"] != api_version():
        version = word(one["api_version"]) if one["api_version"] else "of the account"
        told.append(f"in version {version}, not {api_version()}")
    told += [f"{name} {', '.join(map(word, one[name]))}" for name in ("missing", "extra") if one[name]]
    if one["secret_known"] is False:
        told.append("its secret is not in STRIPE_WEBHOOK_SECRET")
    id, status, url = (word(one[name]) for name in ("id", "status", "url"))
    return f"{id} {status} {url}: {'; '.join(told) or 'as it should be'}"
