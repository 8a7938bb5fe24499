"""Reads a kind's whole list at Stripe, newest first, from any cursor, even if objects come and go meanwhile."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from stripe_mongo_sync.models import StagedDocument, SyncedDocument
from stripe_mongo_sync.models.base.resource import is_id
from stripe_mongo_sync.models.rows.tally import having
from stripe_mongo_sync.sync.errors import CannotReadStripe, LostCursor, MissingPermission, NotAvailable
from stripe_mongo_sync.sync.stripe.answers import Reply

if TYPE_CHECKING:
    from stripe_mongo_sync.sync.stripe.gateway import Gateway

EVENT_RETENTION = timedelta(days=29)  # Stripe lists events for 30 days (docs.stripe.com/api/events); a day to read them
LAG = 120  # s: Stripe's list of events lags at its newest end, and events share their second


@dataclass(frozen=True)
class ListCursor:
    """A position in a list: an object and its creation time, because the object may be deleted before the next read."""

    id: str
    born: int | None
    asked: int = 0  # which of the queries that make the list complete


def has_id(remote: Any) -> bool:
    """Whether this is an object with a valid id."""
    return isinstance(remote, dict) and is_id(remote.get("id"))


def created_second(remote: dict[str, Any]) -> int | None:
    """Return when an object was created, in Stripe's seconds, or None if it does not show it."""
    told = remote.get("created", remote.get("date"))  # an invoice item's
    return told if isinstance(told, int) else None


def made_at(remote: dict[str, Any], now: float) -> int | None:
    """Return when an object was really created, in Stripe's seconds, or None if that is unknown.

    A test clock dates its objects, and what Stripe creates for them, by its own time: weeks ahead, or in the past.
    """
    told = created_second(remote)
    return None if told is None or remote.get("test_clock") or told > now + LAG else told


def list_pages(
    gateway: "Gateway",
    model: type[SyncedDocument],
    since: int | None = None,
    cursor: ListCursor | None = None,
    path: str | None = None,
) -> Iterator[tuple[Reply, ListCursor | None]]:
    """Read the pages of a list after `cursor`, with the objects created `since`; each with the cursor after it, which
    is None before the first object. `path` is that of an owner's list. Raises CannotReadStripe.

    An object may be on two pages. Objects that are created meanwhile are on none.
    """
    asked = cursor.asked if cursor else 0
    for number, question in [*enumerate(model.resource.list_params)][asked:]:
        for page in _answers(gateway, model, path or model.resource.path, question, since, cursor):
            cursor = replace(cursor_after(page), asked=number) if page.remote["data"] else cursor
            yield page, cursor
        cursor = None


def _answers(
    gateway: "Gateway",
    model: type[SyncedDocument],
    path: str,
    question: Mapping[str, str],
    since: int | None,
    cursor: ListCursor | None,
) -> Iterator[Reply]:
    resource, window = model.resource, {} if since is None else {"gte": since}
    while True:
        filters: dict[str, Any] = {**question, **({"created": window} if window and resource.created_filter else {})}
        try:
            for page in gateway.pages(path, after=cursor.id if cursor else None, **filters):
                kept = page if resource.created_filter else made_since(page, since)
                yield kept
                if len(kept.remote["data"]) < len(page.remote["data"]):
                    return  # newest first: what follows is older still
                if page.remote["data"]:
                    cursor = cursor_after(page)
            return
        except LostCursor:
            if cursor is None:
                raise
            # The objects of that second are read again; a list without dates is read again from its start.
            window = window if cursor.born is None else {**window, "lte": cursor.born}
            cursor = None


def cursor_after(page: Reply) -> ListCursor:
    """Return the cursor after a page that is not empty."""
    return ListCursor(page.last["id"], created_second(page.last))


def made_since(page: Reply, since: int | None) -> Reply:
    """Return a page without the objects that are known to be older."""
    if since is None:
        return page
    kept = [one for one in page.remote["data"] if not isinstance(one, dict) or (created_second(one) or since) >= since]
    return replace(page, remote={**page.remote, "data": kept})


def is_not_there(
    gateway: "Gateway",
    error: CannotReadStripe,
    *models: type[SyncedDocument],
    alive: Collection[type[StagedDocument]] | None = None,
) -> bool:
    """Whether Stripe's refusal of a list means that this account does not have this type. All commands decide it here.

    It does if we have never seen such an object and the key lacks no permission: an unrestricted key may read
    everything. `alive` are the types that have current documents, if the caller has already read that.
    """
    refused = isinstance(error, NotAvailable) or (isinstance(error, MissingPermission) and not gateway.restricted)
    return refused and {*models}.isdisjoint(having(models, {"is_current": True}) if alive is None else alive)
