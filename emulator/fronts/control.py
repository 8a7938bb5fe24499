"""A typed client of the control API: its methods have the names of the in-process emulator's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from stripe_mongo_sync.emulator.protocol.renamed import renamed
from stripe_mongo_sync.emulator.protocol.wire import Json, LogEntry


class ControlError(Exception):
    """The control API refused: the name is unknown, or the arguments do not fit."""


class Control:
    """Drives an emulator in another process: `Control("http://127.0.0.1:12111").fault("cut_after")`."""

    def __init__(self, base_url: str, timeout: float = 10.0, token: str | None = None) -> None:
        self._base = base_url.rstrip("/") + "/_emulator/"
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._timeout = timeout
        self._opener = build_opener(ProxyHandler({}))
        self.clock = _Clock(self)
        self.dashboard = _Dashboard(self)
        self.webhooks = _Webhooks(self)

    def objects(self, kind: str) -> list[Json]:
        return list(self.get(f"objects/{kind}"))

    def usable(self, kind: str) -> list[Json]:
        return list(self.get(f"usable/{kind}"))

    def events(self) -> list[Json]:
        return list(self.get("events"))

    @property
    def requests(self) -> list[LogEntry]:
        return [LogEntry(**each) for each in self.get("requests")]

    @property
    def account(self) -> str:
        return str(self.get("account")["id"])

    def fault(self, name: str, match: str | Mapping[str, str] | None = None, **options: Any) -> None:
        """Options: method, path, kind, times, skip, seconds."""
        self.post("faults", name=name, match=match, **options)

    def chaos(
        self, seed: int, rates: Mapping[str, float] | None, match: str | None = None, seconds: float = 0.0
    ) -> None:
        self.post("chaos", seed=seed, rates=rates, match=match, seconds=seconds)

    def clear_faults(self) -> None:
        self.post("clear_faults")

    def insert(self, kind: str, object: Json | None = None, **fields: Any) -> Json:
        return dict(self.post("insert", kind=kind, object=object, **fields))

    def authenticate(self, id: str, agrees: bool = True) -> Json:
        return dict(self.post("authenticate", id=id, agrees=agrees))

    def pay_session(self, id: str, card: str = "pm_card_visa", email: str = "buyer@example.com", **more: Any) -> Json:
        """Options: code, which the buyer enters."""
        return dict(self.post("pay_session", id=id, card=card, email=email, **more))

    def dispute(self, id: str, **options: Any) -> Json:
        """Options: amount, reason, inquiry."""
        return dict(self.post("dispute", id=id, **options))

    def pay_out(self, currency: str = "usd") -> Json:
        return dict(self.post("pay_out", currency=currency))

    def decide(self, id: str, status: str) -> Json:
        return dict(self.post("decide", id=id, status=status))

    def endpoint(self, url: str, secret: str | None = None, **options: Any) -> Json:
        """Options: api_version, enabled_events, livemode, payload, organization."""
        return dict(self.post("endpoints", url=url, secret=secret, **options))

    def roll_secret(self, endpoint_id: str, **options: Any) -> str:
        return str(self.post("roll_secret", endpoint_id=endpoint_id, **options)["secret"])

    def resend(self, event_id: str) -> None:
        self.post("resend", event_id=event_id)

    def release_holds(self) -> None:
        self.post("release_holds")

    def release_late_requests(self) -> int:
        return int(self.post("release_late_requests")["released"])

    def repair(self, key: str | None = None) -> list[Json]:
        return list(self.post("repair", key=key))

    def limit(self, rate: int | None = None) -> None:
        self.post("limit", rate=rate)

    def lag_events(self, seconds: float) -> None:
        self.post("lag_events", seconds=seconds)

    def lose_event(self, match: str = "*", times: int = 1) -> None:
        self.post("lose_event", match=match, times=times)

    def admit_losses(self) -> None:
        self.post("admit_losses")

    def hide_event(self, match: str = "*", times: int = 1) -> None:
        self.post("hide_event", match=match, times=times)

    def show_events(self) -> None:
        self.post("show_events")

    def duplicate_events(self, match: str = "*", times: int = 1) -> None:
        self.post("duplicate_events", match=match, times=times)

    def restrict(self, key: str, deny: Mapping[str, str]) -> None:
        self.post("restrict", key=key, deny=deny)

    def revoke(self, key: str) -> None:
        self.post("revoke", key=key)

    def wipe(self) -> None:
        self.post("wipe")

    def reset_account(self, id: str) -> None:
        self.post("reset_account", id=id)

    calm = renamed("calm", clear_faults)
    plant = renamed("plant", insert)
    release_zombies = renamed("release_zombies", release_late_requests)
    twin_events = renamed("twin_events", duplicate_events)
    forget = renamed("forget", wipe)

    def get(self, name: str) -> Any:
        return self._call(Request(self._base + name, headers=self._headers))  # noqa: S310 - the caller's own emulator

    def post(self, name: str, /, **args: Any) -> Any:
        return self._call(Request(self._base + name, json.dumps(args).encode(), self._headers, method="POST"))  # noqa: S310

    def _call(self, request: Request) -> Any:
        try:
            with self._opener.open(request, timeout=self._timeout) as reply:
                return json.load(reply)
        except HTTPError as error:
            with error:
                raise ControlError(f"{error.code}: {error.read().decode()}") from error


class _Clock:
    def __init__(self, control: Control) -> None:
        self._control = control

    def now(self) -> float:
        return float(self._control.get("clock")["now"])

    def advance(self, seconds: float) -> None:
        self._control.post("clock", advance=seconds)


class _Dashboard:
    def __init__(self, control: Control) -> None:
        self._control = control

    def create(self, kind: str, **params: Any) -> Json:
        return dict(self._control.post("dashboard/create", kind=kind, params=params))

    def update(self, kind: str, id: str, **params: Any) -> Json:
        return dict(self._control.post("dashboard/update", kind=kind, id=id, params=params))

    def delete(self, kind: str, id: str) -> Json:
        return dict(self._control.post("dashboard/delete", kind=kind, id=id))

    def act(self, kind: str, id: str, action: str, **params: Any) -> Json:
        return dict(self._control.post("dashboard/act", kind=kind, id=id, action=action, params=params))

    def end(self, kind: str, id: str, **params: Any) -> Json:
        return dict(self._control.post("dashboard/end", kind=kind, id=id, params=params))


class _Webhooks:
    def __init__(self, control: Control) -> None:
        self._control = control

    def disrupt(self, **options: Any) -> None:
        """Options: drop, double, delay (how many), seconds, shuffle, types."""
        self._control.post("webhooks", **options)

    disturb = renamed("disturb", disrupt)

    def outstanding(self) -> int:
        return int(self._control.get("webhooks")["outstanding"])
