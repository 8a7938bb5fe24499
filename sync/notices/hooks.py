"""Hooks: functions of the application that are called for a notice, such as `@on("order.paid")`."""

import importlib
import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from stripe_mongo_sync.models import Status, kinds
from stripe_mongo_sync.models.base.notice import HOOK_PATTERNS, matches
from stripe_mongo_sync.sync.errors import BadSettings

LONGEST = 60  # characters of an unknown name that are shown
OF_EVENTS = re.compile(r"stripe:[a-z0-9_.*]+", re.ASCII)


@dataclass(frozen=True)
class Notice:
    """The notice that a hook gets: it says what happened, and `document` shows the present state."""

    id: str  # the same in every delivery of this notice, so that the work is done once
    name: str  # "customer.active", "order.paid", "stripe:charge.dispute.created"
    at: datetime  # when it was stored here
    kind: str  # of the document; "event" for Stripe's events
    document: Any = None  # the document as it is now, which may be later than the notice; None for Stripe's events
    event: Any = field(default=None, repr=False)  # for Stripe's events, the event as Stripe sent it: a dict


Hook = Callable[[Notice], object]
Registered = TypeVar("Registered", bound=Hook)

HOOKS: dict[str, Hook] = {}  # by module and name


def on(*names: str) -> Callable[[Registered], Registered]:
    """Register a function to be called with a `Notice` when one of `names` happens.

    Names: `<kind>.active`, `<kind>.rolled_back` and `<kind>.deleted` for every kind, the other notices of a kind
    (`order.paid`), and `stripe:<event type>` for Stripe's events of our account and mode. `*` stands for any text:
    `customer.*`, `*.deleted` (of our documents), `stripe:charge.*`. Returns the function as it is. Raises ValueError
    for a name that does not exist, a coroutine function, and a second hook of one name.

    Promises:

    - At least once: the update that makes the fact true also writes the notice. It can arrive twice, so do the work
      once for each `notice.id`.
    - After the fact: a `pending` document, or a change that did not happen, causes no notice.
    - In any order, and some time after the fact: `notice.document` is read just before the call.
    - In a process of its own, `stripe-mongo-sync hooks run`: a hook delays or loses no event, request or run of
      reconcile.
    - With retries: a hook that raises, exceeds the time limit, or ends its process is called again after growing waits.
      After the last attempt the delivery is dead, until `hooks replay`. Each hook has deliveries of its own.
    - Only while the document exists: if it expired, or an adopted document was replaced by the one that created its
      object, the notice is not delivered.

    Example:

        @on("order.paid", "stripe:charge.dispute.created")
        def tell(notice: Notice) -> None:
            print(notice.id, notice.name)
    """
    if not names:
        raise ValueError('on() needs the name of a notice, such as @on("customer.active")')
    for name in names:
        _check(name)

    def register(function: Registered) -> Registered:
        if not (callable(function) and hasattr(function, "__qualname__")):
            raise ValueError(f"on() registers a function, and was given a {type(function).__name__}")
        hook = f"{function.__module__}.{function.__qualname__}"
        if inspect.iscoroutinefunction(function):
            raise ValueError(f"{hook} must be a plain function, because hooks are not awaited")
        if HOOKS.get(hook, function) is not function:
            raise ValueError(f"two hooks are named {hook}")
        HOOKS[hook] = function
        HOOK_PATTERNS[hook] = (*HOOK_PATTERNS.get(hook, ()), *names)
        return function

    return register


def names() -> list[str]:
    """Return every name that hooks can subscribe to, except those of Stripe's events."""
    statuses = [status for status in Status if status != Status.PENDING]  # `pending` causes no notice
    return [
        name
        for model in kinds().values()
        for name in (*map(model.resource.notice_of, statuses), *model.resource.notices)
    ]


def _check(name: object) -> None:
    if not isinstance(name, str):
        given = type(name).__name__
        raise ValueError(f'on() takes the names of notices, such as @on("customer.active"), and was given a {given}')
    if OF_EVENTS.fullmatch(name) or any(matches(known, name) for known in names()):
        return
    told = repr(name) if len(name) <= LONGEST else f"{name[:LONGEST]!r}…"
    raise ValueError(f"there is no {told} to hear of; there are {', '.join(names())}, and stripe:<event type>")


def load(modules: Iterable[str]) -> None:
    """Import the modules that HOOKS names. Raises BadSettings; then none of their hooks stays registered."""
    problems = []
    for module in modules:
        before = set(HOOKS)
        try:
            importlib.import_module(module)
        except (Exception, SystemExit) as error:
            problems.append(f"HOOKS: cannot import {module}: {type(error).__name__}: {error}")
            for hook in set(HOOKS) - before:
                del HOOKS[hook], HOOK_PATTERNS[hook]
    if problems:
        raise BadSettings(problems)
