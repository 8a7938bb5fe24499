"""The effects of one request: creates, changes and deletes objects, and announces that by events."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from stripe_mongo_sync.emulator.engine import scheduler
from stripe_mongo_sync.emulator.engine.resource import RESOURCES, Resource, Route, label
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.fields import Fields, Hash, Many, Metadata, Ref
from stripe_mongo_sync.emulator.protocol.wire import Json
from stripe_mongo_sync.emulator.state.store import Overlay, Realm

Announce = Callable[[Realm, str, Json, Json | None, Json | None], None]
Draw = Callable[[int, str], str]


class Execution:
    """Executes a request. `cause` is the `request` of all its events (stripe-facts.md#the-request-of-an-event)."""

    def __init__(self, realm: Realm, second: int, draw: Draw, announce: Announce, cause: Json | None) -> None:
        self.realm = realm
        self.second = second
        self.draw = draw
        self._announce = announce
        self.cause = cause

    def create(self, kind: str, params: Json) -> Json:
        row = RESOURCES[kind]
        self._check_references(row.create or {}, params)
        id = params.get("id") or row.new_id(self.draw, self.realm.livemode)
        if params.get("id") and self.realm.find(kind, id) is not None:
            raise errors.already_exists(row.name().capitalize())
        self._enter(params)
        scheduler.check_mode(self.realm, row)
        if row.check_state is not None:
            row.check_state(self, params, None)
        object = self._blank(row, id)
        _apply(row, row.create or {}, object, {name: value for name, value in params.items() if value is not None})
        self._bind(row, object)
        self.realm.drop(kind, id)  # a chosen id can be used again after a delete
        self.keep(kind, object)  # before `finish` makes objects that refer to it
        if row.finish is not None:
            row.finish(self, params, object)
        self.keep(kind, object)
        self._announce_change(row, "created", object)
        if row.after is None:
            return object
        row.after(self, params, copy.deepcopy(object))
        return self.need(kind, id)

    def make(self, kind: str, **fields: Any) -> Json:
        """Create an object with these fields, without checks or event."""
        row = RESOURCES[kind]
        self._enter(fields)
        object = self._blank(row, row.new_id(self.draw, self.realm.livemode)) | copy.deepcopy(fields)
        self._bind(row, object)
        self.keep(kind, object)
        return object

    def _enter(self, object: Json) -> None:
        """Take the time from the object's test clock, if it has one."""
        clock = scheduler.clock_of(self.realm, object)
        if clock is not None:
            self.second = clock["frozen_time"]

    def _bind(self, row: Resource, object: Json) -> None:
        """Give the object the test clock of its customer, if that has one."""
        clock = scheduler.clock_of(self.realm, object) if "test_clock" in row.defaults else None
        if clock is not None:
            object["test_clock"] = clock["id"]

    def named(self, kind: str, id: str) -> Json:
        """Return a copy of the object, or a new one that is not stored if the id is a template."""
        row = RESOURCES[kind]
        if id not in row.templates:
            return copy.deepcopy(self.need(kind, id))
        return self._blank(row, row.new_id(self.draw, self.realm.livemode)) | copy.deepcopy(row.templates[id])

    def _blank(self, row: Resource, id: str) -> Json:
        mode = {"livemode": self.realm.livemode} if row.has_livemode else {}
        date = {row.created_field: self.second} if row.created_field else {}
        return {"id": id, "object": row.kind, **copy.deepcopy(row.defaults), **date, **mode}

    def update(self, kind: str, id: str, params: Json) -> Json:
        row = RESOURCES[kind]
        old = self.need(kind, id)
        self._enter(old)
        self._check_references(row.update or {}, params)
        if row.check_state is not None:
            row.check_state(self, params, old)
        new = copy.deepcopy(old)
        _apply(row, row.update or {}, new, params)
        if row.finish is not None:
            row.finish(self, params, new)
        if new != old:
            self.keep(kind, new)
            self._announce_change(row, "updated", new, old)
        return new

    def delete(self, kind: str, id: str) -> Json:
        row = RESOURCES[kind]
        object = self.need(kind, id)
        if row.check_delete is not None:
            row.check_delete(self, object)
        self.realm.put(kind, id, {"object": object, "deleted": True})
        if row.on_delete is not None:
            row.on_delete(self, object)
        self._announce_change(row, "deleted", object)
        return {"id": id, "object": kind, "deleted": True}

    def act(self, kind: str, id: str, action: str, params: Json) -> Json:
        """Execute POST /v1/<path>/<id>/<action>."""
        action_row = RESOURCES[kind].actions[action]
        object = self.named(kind, id)
        self._enter(object)
        self._check_references(action_row.params, params)
        return action_row.do(self, object, params)

    def take(self, way: Route, ids: tuple[str, ...], params: Json) -> Json:
        """Execute a call that no row describes."""
        self._check_references(way.params, params)
        return way.do(self, params, *ids)

    def end(self, kind: str, id: str, params: Json) -> Json:
        """Execute DELETE /v1/<path>/<id> of an object that stays readable."""
        row = RESOURCES[kind]
        if row.delete_action is None:
            raise LookupError(f"the row of {kind} has no delete_action")
        object = copy.deepcopy(self.need(kind, id))
        self._enter(object)
        return row.delete_action.do(self, object, params)

    def find(self, kind: str, id: str) -> Json | None:
        """Return the object, or another one that the id also names, or None."""
        object, row = self.realm.find(kind, id), RESOURCES.get(kind)
        return row.stand_in(self.realm, id) if object is None and row is not None and row.stand_in else object

    def need(self, kind: str, id: str) -> Json:
        object = self.find(kind, id)
        if object is None:
            raise self._absent(kind, id)
        return object

    def _absent(self, kind: str, id: str, param: str = "id", status: int = 404) -> Problem:
        other = self.realm.other_mode()
        mode = ("live" if other.livemode else "test") if other.find(kind, id) is not None else None
        return errors.no_such(label(kind), id, param, status, mode)

    def keep(self, kind: str, object: Json) -> None:
        self.realm.put(kind, object["id"], {"object": object, "deleted": False})

    def schedule(self, object: Json, at: int | None) -> None:
        """Let the row's `on_due` run for the object at this second; None cancels."""
        scheduler.schedule(self.realm, object, at)

    def in_account(self, account: str) -> Execution:
        """Return the effects of this request in another account of this mode."""
        realm = Realm(self.realm.store, account, self.realm.livemode)
        return Execution(realm, self.second, self.draw, self._announce, self.cause)

    def dry_run(self) -> Execution:
        """Return effects from the same state, of which nothing stays and nothing is announced."""
        realm = Realm(Overlay(self.realm.store), self.realm.account, self.realm.livemode)
        return Execution(realm, self.second, self.draw, lambda *event: None, None)

    def announce(self, type: str, object: Json, old: Json | None = None, previous: bool = True) -> None:
        changed = changes(old, object) if old is not None and previous else None
        self._announce(self.realm, type, copy.deepcopy(object), changed, self.cause)

    def _announce_change(self, row: Resource, verb: str, object: Json, old: Json | None = None) -> None:
        type = row.event(verb)
        if type is None:
            return
        if row.is_account:
            self.in_account(object["id"]).announce(type, object, old)
            return
        self.announce(type, object, old)
        if verb in row.extra_event:
            self.announce(row.extra_event[verb], object, old)
        companion = row.companion(object) if row.companion is not None else None
        if companion is not None and row.companion is not None:
            before = row.companion(old) if old is not None else None
            self.realm.put(companion["object"], companion["id"], {"object": companion, "deleted": verb == "deleted"})
            if before != companion:
                self.announce(f"{companion['object']}.{verb}", companion, before)

    def _check_references(self, fields: Fields, params: Json) -> None:
        for kind, id, param in references(fields, params):
            known = kind in RESOURCES and id in RESOURCES[kind].templates
            if not known and self.find(kind, id) is None:
                raise self._absent(kind, id, param, status=400)


def references(fields: Fields, params: Json, prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield (kind, id, param) of every reference in the parameters."""
    for key, value in params.items():
        name = f"{prefix}[{key}]" if prefix else key
        match fields.get(key):
            case Ref(kind=kind) if value is not None:
                yield kind, value, name
            case Hash(fields=inner) if value is not None:
                yield from references(inner, value, name)
            case Many(each=Ref(kind=kind)) if value is not None:
                yield from ((kind, id, f"{name}[{index}]") for index, id in enumerate(value))
            case Many(each=Hash(fields=inner)) if value is not None:
                for index, each in enumerate(value):
                    yield from references(inner, each, f"{name}[{index}]")


def _apply(row: Resource, fields: Fields, object: Json, params: Json) -> None:
    for name, value in params.items():
        field = fields.get(name)
        if name == "id" or (field is not None and field.hidden):
            continue
        if isinstance(field, Metadata):
            merged = {**object[name], **value} if value is not None else {}
            object[name] = {key: each for key, each in merged.items() if each != ""}
        elif isinstance(field, Hash) and field.merge and value is not None:
            object[name] = {**(object[name] or {}), **_shown(field, value)}
        else:
            default = copy.deepcopy(row.defaults.get(name))
            object[name] = default if value is None else _shown(field, value)


def _shown(field: Any, value: Any) -> Any:
    """Return the value without the hidden fields of a hash."""
    if isinstance(field, Hash) and isinstance(value, dict):
        return {key: _shown(field.fields[key], each) for key, each in value.items() if not field.fields[key].hidden}
    if isinstance(field, Many) and isinstance(value, list):
        return [_shown(field.each, each) for each in value]
    return value


def changes(old: Json, new: Json) -> Json:
    """Return `previous_attributes`: old values. Hashes have only their changed keys; arrays are whole."""
    result: Json = {}
    for name in old.keys() | new.keys():
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        both = isinstance(before, dict) and isinstance(after, dict)
        result[name] = changes(before, after) if both else before  # type: ignore[arg-type]
    return result
