"""`stripe-mongo-sync endpoint`: create, list, update, roll or delete the webhook endpoints at Stripe."""

from typing import Any

import click

from stripe_mongo_sync.sync.commands.cli import Given, flag, group, say
from stripe_mongo_sync.sync.process.screen import word
from stripe_mongo_sync.sync.process.starting import PROGRAM

main = group("endpoint", "create, list, update, roll or delete the webhook endpoints at Stripe")
OPTIONAL = click.argument("id", required=False, help="we_...; optional when only one endpoint points here")


@main.action(
    "create",
    "create an endpoint for all covered events, in our API version",
    examples=("endpoint create https://shop.example/webhooks/stripe",),
)
@click.argument("url", help="https://<your host>/webhooks/stripe")
def create(given: Given) -> int:
    """Create an endpoint, and show its secret."""
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


@main.action("list", "list the webhook endpoints, and what is wrong with each", reads=True, examples=("endpoint list",))
def show_all(given: Given) -> int:
    """List the endpoints."""
    from stripe_mongo_sync.sync.commands.table import tell_list
    from stripe_mongo_sync.sync.operator import endpoint

    told = [each.shown() for each in endpoint.list_endpoints()]
    heads = {"ID": "id", "STATUS": "status", "URL": "url"}
    nothing = "no webhook endpoint exists: create one with `endpoint create URL`"
    tell_list(given, told, heads=heads, note=_note, line=_line, nothing=nothing)
    return 0


@main.action(
    "update",
    "enable an endpoint, and make it send exactly the covered events",
    examples=("endpoint update", "endpoint update we_123"),
)
@OPTIONAL
def update(given: Given) -> int:
    """Update an endpoint."""
    from stripe_mongo_sync.sync.operator import endpoint

    told = endpoint.update(endpoint.endpoint_of(given.id)).shown()
    say(given, told, _line(told))
    return 0


@main.action(
    "roll", "begin to roll a secret: create a second endpoint for the same address", examples=("endpoint roll",)
)
@OPTIONAL
def roll(given: Given) -> int:
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


@main.action("delete", "delete an endpoint, which ends a roll", examples=("endpoint delete we_123",))
@click.argument("id", help="we_...")
@flag("--force", "delete it even if no other endpoint can take over")
def delete(given: Given) -> int:
    """Delete an endpoint."""
    from stripe_mongo_sync.sync.operator import endpoint

    endpoint.delete(endpoint.endpoint_of(given.id), force=given.force)
    say(given, {"deleted": given.id}, f"{given.id} is deleted; take its secret out of STRIPE_WEBHOOK_SECRET")
    return 0


def _line(one: dict[str, Any]) -> str:
    id, status, url = (word(one[name]) for name in ("id", "status", "url"))
    return f"{id} {status} {url}: {_note(one)}"


def _note(one: dict[str, Any]) -> str:
    from stripe_mongo_sync.sync.stripe.answers import api_version

    told = [] if one["points_here"] else ["points elsewhere"]
    if one["api_version"] != api_version():
        version = word(one["api_version"]) if one["api_version"] else "of the account"
        told.append(f"in version {version}, not {api_version()}")
    told += [f"{name} {', '.join(map(word, one[name]))}" for name in ("missing", "extra") if one[name]]
    if one["secret_configured"] is False:
        told.append("its secret is not in STRIPE_WEBHOOK_SECRET")
    return "; ".join(told) or "as it should be"
