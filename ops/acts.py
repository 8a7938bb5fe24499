"""What the page does: the acts of the commands. Each is logged with the name of the token before it is done.

After an act, the browser is sent to the page that shows its result, so that a reload repeats nothing.
"""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from http import HTTPStatus
from typing import Any

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from stripe_mongo_sync.models import DeliveryState
from stripe_mongo_sync.models.base.input import Invalid
from stripe_mongo_sync.sync.errors import NotPossible
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.operator import deliveries, inbox_admin, operations
from stripe_mongo_sync.sync.operator.link import acting_as

LONGEST = 20.0  # s that one request replays what is dead

EVENT_ACTS: dict[str, Callable[[Any], Any]] = {"replay": inbox_admin.replay, "ignore": inbox_admin.ignore}
DELIVERY_ACTS: dict[str, Callable[[Any], Any]] = {"replay": deliveries.replay, "drop": deliveries.drop}


def register(page: Blueprint) -> None:
    """Add the views that act."""
    for path, view in (
        ("/events/<id>/<any(replay, ignore):act>", act_on_event),
        ("/events/replay-dead", replay_dead),
        ("/deliveries/<any(replay, drop):act>", act_on_delivery),
        ("/deliveries/replay-dead", replay_dead_deliveries),
        ("/review/<id>/<any(retry, 'roll-back', link):act>", resolve),
        ("/reset-breaker", reset_breaker),
    ):
        page.add_url_rule(path, view.__name__, _acting(view), methods=["POST"])


def _acting(view: Callable[..., Response | str]) -> Callable[..., Response | str]:
    @wraps(view)
    def acting(**given: str) -> Response | str:
        with acting_as(g.token):
            return view(**given)

    return acting


def _log(act: str, what: str) -> None:
    log.info("request %s: %s asks to %s %s", g.request_id, g.token, act, what)


def act_on_event(id: str, act: str) -> Response:
    """Replay or ignore an event."""
    row = inbox_admin.event_of(id)
    _log(act, id)
    EVENT_ACTS[act](row)
    return _see("ops.event", act, id=id)


def replay_dead() -> str:
    """Replay every dead event that came since a date, the oldest first, as far as one request can."""
    since = _since()
    _log("replay", f"all dead events since {since or 'ever'}")
    counts: Counter[str] = Counter()
    failed = [*inbox_admin.replay_dead(since, counts, seconds=LONGEST)]
    return render_template("replayed.html", counts=sorted(counts.items()), failed=[*map(inbox_admin.summary, failed)])


def act_on_delivery(act: str) -> Response:
    """Replay or drop a delivery."""
    row = deliveries.delivery_of(request.form.get("id", ""))
    _log(act, f"delivery {row.id}")
    DELIVERY_ACTS[act](row)
    return _see("ops.deliveries", act, id=row.id)


def replay_dead_deliveries() -> Response:
    """Make every delivery due again that died since a date, as far as one request can; then show what is left."""
    since = _since()
    _log("replay", f"all deliveries that died since {since or 'ever'}")
    replayed = len([*deliveries.replay_all(deliveries.dead_since(since), seconds=LONGEST)])
    log.info("request %s: %s deliveries are due again", g.request_id, replayed)
    return _see("ops.deliveries", "replay", state=DeliveryState.DEAD)


def resolve(id: str, act: str) -> Response:
    """Resolve a document in review, or one that is due."""
    given: dict[str, Any] = {}
    _require_unchanged(id)
    if act == "link":
        given = {"stripe_id": request.form.get("stripe_id", "").strip(), "force": request.form.get("force") == "yes"}
        if not given["stripe_id"]:
            raise Invalid({"stripe_id": "is missing: give the id of the object at Stripe"})
    _log(act, id)
    done = operations.told(operations.ACTIONS[act](id, **given))
    return _see("ops.document", act, kind=done["kind"], id=done["id"])


def _require_unchanged(id: str) -> None:
    """Refuse a form that was made for another revision: what it promised may not be what would happen now."""
    if request.form.get("revision") != str(operations.revision_of(id)):
        raise NotPossible("This document has changed since the page was loaded: load it again, and decide anew.")


def reset_breaker() -> Response:
    """Reset the circuit breaker."""
    _log("reset", "the circuit breaker")
    operations.reset_breaker()
    return _see("ops.overview", "reset-breaker")


def _see(endpoint: str, act: str, **values: Any) -> Response:
    return redirect(url_for(endpoint, done=act, **values), HTTPStatus.SEE_OTHER)


def _since() -> datetime | None:
    """Return the date that a form gives, in UTC. Raises Invalid."""
    given = request.form.get("since", "").strip()
    try:
        return datetime.fromisoformat(given).replace(tzinfo=UTC) if given else None
    except ValueError:
        raise Invalid({"since": "must be a date: 2026-11-23"}) from None
