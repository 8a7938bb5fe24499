"""Schedule: many actors, one at a time. Which of them goes on next, at each effect on the world, the seed decides.

Every actor is a thread that stops before each MongoDB command and before each Stripe request, and goes on when it is
told. So the code that runs is the real one, with real threads, and yet every interleaving can be had again.
"""

import threading
from collections.abc import Callable
from random import Random
from typing import Any

import stripe
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

Witness = Callable[[str, str, str | None], None]  # is told of each request to Stripe: method, URL, idempotency key
STUCK = 60.0  # s of real time: no effect takes so long, so the actor waits for another that may not run


class Killed(BaseException):
    """Not an Exception: nothing in the service may catch it, as nothing can catch SIGKILL."""


class Actor(threading.Thread):
    """One run of something that may be interrupted; `fate` is the number of the effect before which it dies."""

    def __init__(self, schedule: "Schedule", name: str, act: Callable[[], Any], fate: int | None) -> None:
        super().__init__(name=name, daemon=True)
        self.schedule, self.act, self.fate = schedule, act, fate
        self.go, self.paused = threading.Event(), threading.Event()
        self.effects, self.before = 0, ""
        self.over = False
        self.error: BaseException | None = None

    def run(self) -> None:
        """Wait for the first turn, act, and say that it is over."""
        self.go.wait()
        try:
            self.act()
        except Killed:
            pass
        except BaseException as error:
            self.error = error
        self.over = True
        self.paused.set()

    def pause(self, effect: str) -> None:
        """Stop before an effect until it is this actor's turn again, or die there."""
        self.effects += 1
        if self.effects == self.fate:
            raise Killed
        self.before = effect
        self.schedule.trace.append(f"{self.name}: {effect}")
        self.go.clear()
        self.paused.set()
        self.go.wait()
        if self.fate == 0:
            raise Killed

    def step(self) -> None:
        """Let it run until its next effect, or its end."""
        self.paused.clear()
        if not self.is_alive() and not self.over:
            self.start()
        self.go.set()
        assert self.paused.wait(STUCK), f"{self.name} waits for an actor that may not run"


class Schedule(CommandListener):
    """The actors that are under way. It listens to MongoDB, and wraps the client of Stripe."""

    def __init__(self, witness: Witness) -> None:
        self.witness = witness
        self.running: list[Actor] = []
        self.trace: list[str] = []
        self.deaths = 0

    def begin(self, name: str, act: Callable[[], Any], fate: int | None = None) -> None:
        """Let an actor join the others; it does nothing before its first turn."""
        self.running.append(Actor(self, name, act, fate))

    def turn(self, chance: Random) -> bool:
        """Let one of them go on to its next effect; False when none is left."""
        if not self.running:
            return False
        self._step(chance.choice(self.running))
        return True

    def let_send(self) -> None:
        """Let those go on that have decided to send: between that and the wire nobody can sleep for hours."""
        for actor in [actor for actor in self.running if actor.before.startswith(("POST", "DELETE"))]:
            self._step(actor)

    def _step(self, actor: Actor) -> None:
        actor.step()
        if actor.over:
            self.running.remove(actor)
            self.deaths += actor.effects == actor.fate
            if actor.error is not None:
                raise actor.error

    def finish(self, chance: Random) -> None:
        """Let all of them come to their end."""
        while self.turn(chance):
            pass

    def kill(self) -> None:
        """SIGKILL the process of all that are under way."""
        for actor in self.running:
            if actor.is_alive():
                actor.fate = 0
                actor.step()
                self.deaths += 1
        self.running.clear()

    def pause(self, effect: str) -> None:
        """Called wherever the world may be changed: if an actor is doing it, it stops here."""
        actor = threading.current_thread()
        if isinstance(actor, Actor):
            actor.pause(effect)

    def started(self, event: CommandStartedEvent) -> None:
        self.pause(f"{event.command_name} {event.command.get(event.command_name)}")

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Nothing: the next effect is the next switch."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Nothing, likewise."""

    def around(self, transport: stripe.HTTPClient) -> stripe.HTTPClient:
        """Return a Stripe client whose requests are effects."""
        return _Scheduled(self, transport)


class _Scheduled(stripe.HTTPClient):
    def __init__(self, schedule: Schedule, inner: stripe.HTTPClient) -> None:
        super().__init__()
        self.schedule, self.inner, self.name = schedule, inner, inner.name

    def request(self, method: str, url: str, headers: Any, post_data: Any = None) -> Any:
        self.schedule.pause(f"{method.upper()} {url.partition('?')[0]}")
        self.schedule.witness(method.upper(), url, headers.get("Idempotency-Key"))
        try:
            return self.inner.request(method, url, headers, post_data)
        finally:
            self.schedule.pause("Stripe has answered")

    def close(self) -> None:
        self.inner.close()
