"""The control API: tests and demos in other processes control the emulator over HTTP; web pages cannot.

A page of any site can make the browser that shows it send a form or plain text to this machine, and the site's name can
resolve to this machine's address. Therefore a control takes only JSON, which a browser sends to another site only with
that site's permission, and a request is refused if its Host is not a name of this machine or if it comes from another
site's page. An emulator that listens to other machines requires a token instead.
"""

from __future__ import annotations

import dataclasses
import hmac
import json
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from stripe_mongo_sync.emulator.people.service import Service
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.renamed import renaming
from stripe_mongo_sync.emulator.protocol.wire import Json, Reply, Request

PREFIX = "/_emulator/"
JSON = "application/json"
Control = Callable[[Service, Json], Any]


def _fault(emulator: Service, args: Json) -> Any:
    fault = emulator.fault(**args)
    return {"name": fault.name, "times": fault.times}


def _clock(emulator: Service, args: Json) -> Any:
    emulator.clock.advance(float(args["advance"]))
    return {"now": emulator.clock.now()}


# POST /_emulator/<name> with a JSON object of arguments.
CONTROLS: dict[str, Control] = {
    "faults": _fault,
    "chaos": lambda e, a: e.chaos(**a),
    "clear_faults": lambda e, a: e.clear_faults(**a),
    "clock": _clock,
    "dashboard/create": lambda e, a: e.dashboard.create(a["kind"], **a.get("params", {})),
    "dashboard/update": lambda e, a: e.dashboard.update(a["kind"], a["id"], **a.get("params", {})),
    "dashboard/delete": lambda e, a: e.dashboard.delete(a["kind"], a["id"]),
    "dashboard/act": lambda e, a: e.dashboard.act(a["kind"], a["id"], a["action"], **a.get("params", {})),
    "authenticate": lambda e, a: e.authenticate(**a),
    "pay_session": lambda e, a: e.pay_session(**a),
    "dispute": lambda e, a: e.dispute(**a),
    "decide": lambda e, a: e.decide(**a),
    "pay_out": lambda e, a: e.pay_out(**a),
    "dashboard/end": lambda e, a: e.dashboard.end(a["kind"], a["id"], **a.get("params", {})),
    "insert": lambda e, a: e.insert(**a),
    "endpoints": lambda e, a: e.endpoint(**a),
    "roll_secret": lambda e, a: {"secret": e.roll_secret(**a)},
    "webhooks": lambda e, a: e.webhooks.disrupt(**a),
    "resend": lambda e, a: e.resend(**a),
    "release_holds": lambda e, a: e.release_holds(**a),
    "release_late_requests": lambda e, a: {"released": e.release_late_requests(**a)},
    "repair": lambda e, a: e.repair(**a),
    "limit": lambda e, a: e.limit(**a),
    "lag_events": lambda e, a: e.lag_events(**a),
    "lose_event": lambda e, a: e.lose_event(**a),
    "admit_losses": lambda e, a: e.admit_losses(**a),
    "hide_event": lambda e, a: e.hide_event(**a),
    "show_events": lambda e, a: e.show_events(**a),
    "duplicate_events": lambda e, a: e.duplicate_events(**a),
    "restrict": lambda e, a: e.restrict(**a),
    "revoke": lambda e, a: e.revoke(**a),
    "wipe": lambda e, a: e.wipe(**a),
    "reset_account": lambda e, a: e.reset_account(**a),
}
RENAMED = {  # old routes, which work for one more release
    "calm": "clear_faults",
    "plant": "insert",
    "release_zombies": "release_late_requests",
    "twin_events": "duplicate_events",
    "forget": "wipe",
}


def _read(emulator: Service, name: str, query: Json) -> Any:
    """Answer GET /_emulator/<name>; raise KeyError for an unknown name."""
    livemode = query.get("livemode") == "true"
    match name.split("/"):
        case ["objects", kind]:
            return emulator.objects(kind, livemode)
        case ["usable", kind]:
            return emulator.usable(kind, livemode)
        case ["requests"]:
            return [dataclasses.asdict(each) for each in emulator.requests]
        case ["events"]:
            return emulator.events(livemode)
        case ["clock"]:
            return {"now": emulator.clock.now()}
        case ["webhooks"]:
            return {"outstanding": emulator.webhooks.outstanding()}
        case ["account"]:
            return {"id": emulator.account}
    raise KeyError(name)


def is_loopback(host: str) -> bool:
    """Return whether a host is a name or address that only this machine can reach."""
    host = host.strip("[]").rstrip(".").lower()
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _refusal(request: Request, token: str | None) -> Reply | None:
    """Return the refusal of a caller that may not use the control API, or None."""
    headers = request.headers
    if token is not None:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), token.encode()):
            return _json(401, {"error": "send the control token that the emulator printed: Authorization: Bearer …"})
    elif "host" in headers and not _names_here(f"//{headers['host']}"):
        return _json(403, {"error": "the control API answers only requests to localhost"})
    if "origin" in headers and not _names_here(headers["origin"]):
        return _json(403, {"error": "the control API does not answer pages of other sites"})
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return _json(403, {"error": "the control API does not answer pages of other sites"})
    if request.method == "POST" and headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        return _json(415, {"error": f"send the arguments as {JSON}"})
    return None


def _names_here(address: str) -> bool:
    try:
        return is_loopback(urlsplit(address).hostname or "")
    except ValueError:
        return False


def control(emulator: Service, request: Request) -> Reply:
    """Answer a request to the control API.

    200 with JSON; 401, 403 or 415 for a caller that may not use it; 404 for an unknown name; 422 for arguments that do
    not fit; an error of the emulated Stripe unchanged.
    """
    if (refusal := _refusal(request, emulator.token)) is not None:
        return refusal
    asked = request.path.removeprefix(PREFIX)
    name = RENAMED.get(asked, asked)
    headers = {"Warning": f'299 - "{renaming(asked, name)}"'} if name != asked else {}
    try:
        if request.method == "GET":
            return _json(200, _read(emulator, name, dict(parse_qsl(request.query))))
        if request.method != "POST" or name not in CONTROLS:
            raise KeyError(name)
        args = json.loads(request.body or b"{}")
        if not isinstance(args, dict):
            raise TypeError("the arguments must be a JSON object")
    except KeyError:
        known = ", ".join(["objects/<kind>", "usable/<kind>", "requests", "events", *CONTROLS])
        return _json(404, {"error": f"no control is called {request.method} {name}; there are {known}"})
    except (ValueError, TypeError) as error:
        return _json(422, {"error": str(error)})
    try:
        return _json(200, CONTROLS[name](emulator, args), headers)
    except Problem as problem:
        return _json(problem.status, problem.body())
    except (KeyError, TypeError, ValueError) as error:
        return _json(422, {"error": f"{name}: {error}"})


def _json(status: int, value: Any, headers: Mapping[str, str] | None = None) -> Reply:
    always = {"Content-Type": JSON, "X-Content-Type-Options": "nosniff"}
    return Reply(status, {**always, **(headers or {})}, json.dumps(value).encode())
