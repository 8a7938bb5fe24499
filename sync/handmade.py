"""Checks the settings that a caller made by hand, by the same rules as those of the environment."""

from collections.abc import Iterator
from dataclasses import fields
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from stripe_mongo_sync.sync.process.environment import Given
from stripe_mongo_sync.sync.settings import MODULE, MODULES, Reader, Settings


def objections_to_settings(settings: Any) -> list[str]:
    """Return each reason why these cannot be used, which names the field and quotes nothing.

    The address of MongoDB and the prefix are checked where they are used.
    """
    if not isinstance(settings, Settings):
        return ["settings must be Settings, or left out to read them from the environment"]
    if wrong := [*_mistyped(settings)]:
        return wrong
    texts = {"stripe_secret_key": settings.stripe_secret_key, "stripe_api_base": settings.stripe_api_base or ""}
    numbers = {"api_rate": settings.api_rate, "retention": settings.retention.days}
    lists = {"webhook_secrets": settings.webhook_secrets, "hooks": settings.hooks, "revalidate": settings.revalidate}
    listed = {name: ",".join(values) for name, values in lists.items()}
    read = Reader(Given({**texts, **listed, **{name: str(number) for name, number in numbers.items()}}))
    read.key("stripe_secret_key")
    read.url("stripe_api_base")
    read.rate("api_rate", 0)
    read.days("retention", 0, least=31)
    read.signing("webhook_secrets", required=bool(settings.webhook_secrets))
    read.list("hooks", MODULE, MODULES, required=bool(settings.hooks))
    read.kinds("revalidate")
    return read.problems


def _mistyped(settings: Settings) -> Iterator[str]:
    hints = get_type_hints(Settings)
    for each in fields(settings):
        hint = hints[each.name]
        named = hint.__name__ if isinstance(hint, type) and not get_args(hint) else hint
        if not _fits(getattr(settings, each.name), hint):
            yield f"{each.name} must be of type {named}"


def _fits(value: Any, hint: Any) -> bool:
    kind, parts = get_origin(hint), get_args(hint)
    if kind is UnionType:
        return any(_fits(value, part) for part in parts)
    if kind is not None:
        return isinstance(value, kind) and all(_fits(part, parts[0]) for part in value)
    return isinstance(value, hint) and isinstance(value, bool) is (hint is bool)
