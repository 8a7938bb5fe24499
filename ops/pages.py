"""What the page shows. Each view asks functions that the commands use, too, and hands their answers to a template."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bson import ObjectId
from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from stripe_mongo_sync.models import Delivery, DeliveryState, Event, StagedDocument, Status, kinds, present_kinds
from stripe_mongo_sync.models.base.input import Invalid
from stripe_mongo_sync.models.event import EventState
from stripe_mongo_sync.models.rows.content import handed_on, shown
from stripe_mongo_sync.models.rows.scrub import scrub
from stripe_mongo_sync.models.username import STRIPE_ID
from stripe_mongo_sync.ops.charts import bars, columns
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.errors import NotFound
from stripe_mongo_sync.sync.inbox.arrival import EVENT_ID
from stripe_mongo_sync.sync.operator import deliveries, inbox_admin, operations
from stripe_mongo_sync.sync.operator.status import status
from stripe_mongo_sync.sync.operator.views.figures import figures
from stripe_mongo_sync.sync.operator.views.search import search
from stripe_mongo_sync.sync.operator.views.search import shown as entry_of
from stripe_mongo_sync.sync.operator.views.show import everything
from stripe_mongo_sync.sync.operator.views.timeline import timeline
from stripe_mongo_sync.sync.shop.lists import last_seen, page, selected
from stripe_mongo_sync.sync.stripe.dashboard import page_of

PAGE = 50  # entries of a list
Entry = Mapping[str, Any]


def register(page: Blueprint) -> None:
    """Add the views that read."""
    page.add_url_rule("/", "overview", overview)
    page.add_url_rule("/documents", "documents", documents)
    page.add_url_rule("/documents/<kind>/<id>", "document", document)
    page.add_url_rule("/search", "search", find)
    page.add_url_rule("/events", "events", events)
    page.add_url_rule("/events/<id>", "event", event)
    page.add_url_rule("/deliveries", "deliveries", show_deliveries)
    page.add_url_rule("/review", "review", review)
    page.add_url_rule("/review/<id>", "operation", operation)


def overview() -> str:
    """Show what `status` says, and the figures of the last hour."""
    health, now = status(), figures()
    names = {model.plural(): kind for kind, model in present_kinds().items()}
    documents = health.facts["documents"].items()
    return render_template(
        "overview.html",
        health=health,
        facts=health.facts,
        collections=[(name, names[name], numbers) for name, numbers in documents if numbers and name in names],
        events=columns(now.events),
        latency=columns(now.latency),
        backlog=bars(now.backlog),
    )


def documents() -> str:
    """Show the documents of a kind, the newest first."""
    there = present_kinds()
    kind = request.args.get("kind", "customer")
    if kind not in there:
        raise Invalid({"kind": "there are no documents of this kind"})
    model = there[kind]
    wanted = {name: request.args[name] for name in ("status", "customer") if request.args.get(name)}
    whose = wanted.get("customer", "")
    if whose and not (g.session.reads or ObjectId.is_valid(whose) or STRIPE_ID.fullmatch(whose)):
        raise Invalid({"customer": "must be an id: a name takes a token with the scope read"})
    last = last_seen(model, request.args.get("after"))
    rows = page(model, selected(model, wanted), last, PAGE + 1)
    listed = [entry_of(row) for row in rows[:PAGE]]
    return render_template(
        "documents.html",
        kind=kind,
        kinds=sorted(there),
        statuses=[*Status],
        wanted=wanted,
        documents=_entries(listed),
        more=listed[-1]["id"] if len(rows) > PAGE else None,
    )


def find() -> str | Response:
    """Show what a text names; if it is one document or event, its page."""
    text = request.args.get("q", "").strip()
    listed = search(text, personal=g.session.reads) if text else []
    if len(listed) == 1 and (place := _place_of(listed[0])) is not None:
        return redirect(place)
    return render_template("search.html", text=text, documents=_entries(listed))


def _place_of(entry: Entry) -> str | None:
    """Return the page of an entry; of a row that cannot be read, none."""
    if entry["status"] == operations.UNREADABLE:
        return None
    if entry["kind"] == "event":
        return url_for("ops.event", id=entry["id"])
    if entry["kind"] == "delivery":
        return url_for("ops.deliveries", id=entry["id"])
    return url_for("ops.document", kind=entry["kind"], id=entry["id"])


def _entries(listed: Sequence[Entry]) -> list[Entry]:
    """Return entries with their pages and what is pending, and with the names of people for who may see them."""
    names = g.session.reads
    return [
        {**each, "name": each.get("name") if names else None, "place": _place_of(each), "told": _pending(each)}
        for each in listed
    ]


def _pending(entry: Entry) -> str:
    verb, due = entry.get("verb"), entry["due_reason"]
    told = [f"{verb}, attempts {entry['attempts']}"] if verb else []
    told += [f"due: {due}"] if due else []
    return "; ".join([*told, *(text for name in ("review", "error") if (text := entry[name]))])


def document(kind: str, id: str) -> str:
    """Show one document: its fields, its snapshot, and its timeline."""
    model = kinds().get(kind)
    one = model.objects(id=ObjectId(id)).first() if model is not None and ObjectId.is_valid(id) else None
    if one is None:
        raise NotFound("There is no such document: the field at the top finds it by any id.")
    remote = shown(one.stripe) if one.stripe is not None else None
    remote = remote if g.session.reads or remote is None else scrub(remote)
    link = page_of(kind, one.stripe_id, livemode=current().settings.livemode) if one.stripe_id else None
    return render_template(
        "document.html",
        document=one,
        entry=operations.shown(one),
        fields=_fields(one) if g.session.reads else {},
        snapshot=_text(remote) if remote is not None else None,
        timeline=timeline(one),
        link=link,
        unfinished=one.review_reason is not None or one.due_at is not None,
    )


def _fields(one: StagedDocument) -> dict[str, str]:
    """Return the own fields of a document as texts, without the keys that let somebody pay."""
    stored, hidden = one.to_mongo().to_dict(), handed_on(one.resource.kind)
    names = [*(["username"] if hasattr(one, "username") else []), *type(one).own_fields()]
    values = {name: shown({name: stored.get(name)}).get(name) for name in names if name not in hidden}
    return {
        name: value if isinstance(value, str) else _text(value) for name, value in values.items() if value is not None
    }


def _text(value: Any) -> str:
    return json.dumps(value, indent=2, default=str, ensure_ascii=False)


def events() -> str:
    """Show the events of the inbox, the newest first."""
    wanted = {name: request.args[name] for name in ("state", "type", "object") if request.args.get(name)}
    if wanted.get("state", EventState.DEAD) not in [*EventState]:
        raise Invalid({"state": f"must be one of {', '.join(EventState)}"})
    rows = inbox_admin.recent(**wanted, last=_last(Event), limit=PAGE + 1)
    return render_template(
        "events.html",
        events=[*map(inbox_admin.summary, rows[:PAGE])],
        more=_more(rows),
        states=[*EventState],
        wanted=wanted,
        searched=inbox_admin.SEARCHED,
    )


def event(id: str) -> str:
    """Show one event with its body; what a remedy would do, if it is dead or that was asked for."""
    row = inbox_admin.event_of(id)
    told = inbox_admin.summary(row, raw=g.session.reads)
    body = told.pop("raw", None)
    dry = row.state == EventState.DEAD or "remedies" in request.args
    return render_template(
        "event.html",
        event=told,
        body=None if body is None else _text(body),
        remedies=everything(id, personal=g.session.reads)["remedies"] if dry else None,
        link=page_of("event", id, livemode=current().settings.livemode),
    )


def show_deliveries() -> str:
    """Show the deliveries that are pending or dead, the oldest first; those in one state; or one of them."""
    id, state = request.args.get("id"), request.args.get("state")
    if state and state not in [*DeliveryState]:
        raise Invalid({"state": f"must be one of {', '.join(DeliveryState)}"})
    states, newest = [state] if state else deliveries.UNFINISHED, state == DeliveryState.DONE
    listed = [] if id else deliveries.listed(states, newest=newest, last=_last(Delivery), limit=PAGE + 1)
    rows = [deliveries.delivery_of(id)] if id else listed[:PAGE]
    return render_template(
        "deliveries.html",
        deliveries=[*map(deliveries.summary, rows)],
        states=[*DeliveryState],
        state=state,
        one=id,
        more=_more(listed),
    )


def _last(model: type[Event | Delivery]) -> Entry | None:
    """Return the stored row after which this page begins; None for the first page. Raises Invalid."""
    after = request.args.get("after")
    found = None if after is None else model.own_rows().find_one({"_id": after})
    if after is not None and found is None:
        raise Invalid({"after": "nothing in this list has this id: begin with its first page"})
    return found


def _more(rows: Sequence[Event | Delivery]) -> str | None:
    """Return the id after which the next page begins; None if one page shows these rows."""
    return rows[PAGE - 1].id if len(rows) > PAGE else None


def review() -> str:
    """Show what is in review, or all that is unfinished."""
    every = "all" in request.args
    listed, more = operations.page(limit=PAGE, after=request.args.get("after"), review=not every)
    after = listed[-1]["id"] if more else None
    return render_template("review.html", entries=_entries(listed), every=every, more=after)


def operation(id: str) -> str | Response:
    """Show everything that decides about one operation, and what each remedy would do."""
    if EVENT_ID.fullmatch(id):
        return redirect(url_for("ops.event", id=id, remedies=""))
    given, revision = request.args.get("stripe_id", "").strip(), operations.revision_of(id)  # before all else is read
    told = everything(id, personal=g.session.reads, beside=given or None)
    candidates = told["candidates"]["data"] if told["candidates"] else []
    return render_template(
        "operation.html",
        one=told,
        revision=revision,
        given=given,
        place=_place_of(told),
        sent=_calls(told),
        object=_text((told["at_stripe"] or {}).get("object")),
        objects={each["id"]: _text(each["object"]) for each in candidates},
    )


def _calls(told: Entry) -> list[dict[str, str]]:
    calls = (told["staged"] or {}).get("calls", ())
    return [{"path": f"{call['method'].upper()} {call['path']}", "params": _text(call["params"])} for call in calls]
