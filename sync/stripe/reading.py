"""What is read of Stripe: an object as it is now, with its lists whole, and a list page by page."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from stripe_mongo_sync.models.base.resource import expansions, shortened
from stripe_mongo_sync.sync.errors import CannotLook, ReadRefused
from stripe_mongo_sync.sync.stripe import about
from stripe_mongo_sync.sync.stripe.about import About
from stripe_mongo_sync.sync.stripe.answers import Answer, Refusal, Reply, unread, unreadable

if TYPE_CHECKING:
    import stripe

PAGE = 100  # objects in a page, the most that Stripe gives


class Reading(ABC):
    """The questions, for `Gateway`, which asks them."""

    @abstractmethod
    def verify_account(self, *, bind: bool = True, quick: bool = False) -> None:
        """Raise WrongAccount unless this is the Stripe of this database."""

    @abstractmethod
    def _reader(self, *, quick: bool) -> "stripe.StripeClient":
        """Return who is to ask. Raises CannotLook when there is no time for it."""

    @abstractmethod
    def _read(
        self, path: str, params: dict[str, Any], fits: About, client: "stripe.StripeClient | None" = None
    ) -> Answer:
        """Ask, and return what the answer means."""

    def get(self, path: str, *, quick: bool = False) -> Reply | None:
        """Read one object as it is now, with its lists whole; None when Stripe says that it does not exist.

        Raises CannotLook, of which ReadRefused says that Stripe answered. `quick` is for a webhook: each read ends
        within the time that is left for it, or is not begun.
        """
        self.verify_account(bind=False, quick=quick)
        answer = self._read(path, _asking(path), about.at(path), self._reader(quick=quick))
        match answer:
            case Reply():
                return self.read_on(answer, quick=quick)
            case Refusal(not_found=True):
                return None
            case Refusal():
                raise ReadRefused(f"GET {path}: {answer}")
        raise unread(path, answer)

    def read_on(self, reply: Reply, *, quick: bool = False) -> Reply:
        """Return a reply with the lists whole of which its object shows the first ten. Raises CannotLook.

        It then looked like this at some time between the first read and the last.
        """
        for name, address in shortened(reply.remote).items():
            path, _, query = address.partition("?")
            shown, parts = reply.remote[name], list[dict[str, Any]]()
            for page in self.pages(path, quick=quick, **dict(parse_qsl(query))):
                parts += page.remote["data"]
                reply = replace(reply, latest=max(reply.latest, page.latest))
            place = {part["id"]: number for number, part in enumerate(shown["data"])}  # in the order of the object
            parts.sort(key=lambda part: place.get(part["id"], len(place)))
            told = {"total_count": len(parts)} if "total_count" in shown else {}
            whole = {**shown, **told, "data": parts, "has_more": False}
            reply = replace(reply, remote={**reply.remote, name: whole})
        return reply

    def pages(self, path: str, *, after: str | None = None, quick: bool = False, **params: Any) -> Iterator[Reply]:
        """Read a list page by page, newest first; `remote` is the page. Raises CannotLook: whole or not at all.

        `after` is the id of an object to go on from. Raises LostCursor if that one, or the last of a page, was removed
        meanwhile; ReadRefused when Stripe shows no such list: NotAvailable to this account, NoOwner as that is gone.
        """
        self.verify_account(bind=False)
        params |= _asking(path)
        cursor = {"starting_after": after} if after else {}
        while True:
            answer = self._read(
                path, {**params, "limit": PAGE, **cursor}, about.a_page(path), self._reader(quick=quick)
            )
            if isinstance(answer, Refusal):
                raise unreadable(path, answer)
            if not isinstance(answer, Reply):
                raise unread(path, answer)
            yield answer
            if not answer.remote.get("has_more") or not answer.remote["data"]:
                return
            last = answer.last["id"]
            if last == cursor.get("starting_after"):  # a cache on the way gives the same page for ever
                raise CannotLook(f"GET {path}: the list does not go on after {last}")
            cursor = {"starting_after": last}

    def first(self, path: str, **params: Any) -> dict[str, Any] | None:
        """Return the newest object of a list, or None when it is empty. Raises CannotLook."""
        answer = self._read(path, {**params, "limit": 1}, about.a_page(path))
        if not isinstance(answer, Reply):
            raise unread(path, answer)
        return next(iter(answer.remote["data"]), None)


def _asking(path: str) -> dict[str, Any]:
    asked = expansions(path)
    return {"expand": asked} if asked else {}
