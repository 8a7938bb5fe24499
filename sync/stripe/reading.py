"""Reads from Stripe: one object with its complete lists, or a list page by page."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from stripe_mongo_sync.models.base.resource import expansions, shortened
from stripe_mongo_sync.sync.errors import CannotReadStripe, ReadRefused
from stripe_mongo_sync.sync.stripe import about
from stripe_mongo_sync.sync.stripe.about import About
from stripe_mongo_sync.sync.stripe.answers import Answer, Refusal, Reply, unread, unreadable

if TYPE_CHECKING:
    import stripe

PAGE = 100  # objects in a page, the most that Stripe gives


class Reading(ABC):
    """The read methods of `Gateway`."""

    @abstractmethod
    def verify_account(self, *, bind: bool = True, quick: bool = False) -> None:
        """Raise WrongAccount unless the key belongs to the account of this database."""

    @abstractmethod
    def _reader(self, *, quick: bool) -> "stripe.StripeClient":
        """Return the client to read with. Raises CannotReadStripe if no time is left."""

    @abstractmethod
    def _read(
        self, path: str, params: dict[str, Any], fits: About, client: "stripe.StripeClient | None" = None
    ) -> Answer:
        """Send a GET, and return the classified answer."""

    def get(self, path: str, *, quick: bool = False) -> Reply | None:
        """Read one object with its complete lists; return None if Stripe says that it does not exist.

        Raises CannotReadStripe: as ReadRefused if Stripe answered. `quick` is for a webhook: a read that could not end
        in the time that is left is not sent.
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
        """Return a reply in which the lists that show only their first ten are complete. Raises CannotReadStripe.

        The object then looked like this at some time between the first read and the last.
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
        """Read a list page by page, newest first; `remote` is the page. Raises CannotReadStripe unless it ends.

        `after` is the id of the object to continue after. Raises LostCursor if that object, or the last of a page, was
        removed meanwhile; ReadRefused if Stripe refuses the list; as NotAvailable if this account does not have it, as
        NoOwner if its owner is deleted.
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
            if last == cursor.get("starting_after"):  # a cache between us and Stripe repeats one page
                raise CannotReadStripe(f"GET {path}: the list does not continue after {last}")
            cursor = {"starting_after": last}

    def page(self, path: str, **params: Any) -> list[dict[str, Any]]:
        """Read the first page of a list of the v2 API, which has other cursors. Raises CannotReadStripe."""
        self.verify_account(bind=False)
        answer = self._read(path, params, about.a_page(path))
        if isinstance(answer, Refusal):
            raise unreadable(path, answer)
        if not isinstance(answer, Reply):
            raise unread(path, answer)
        return [each for each in answer.remote["data"] if isinstance(each, dict)]

    def first(self, path: str, **params: Any) -> dict[str, Any] | None:
        """Return the newest object of a list, or None if the list is empty. Raises CannotReadStripe."""
        answer = self._read(path, {**params, "limit": 1}, about.a_page(path))
        if not isinstance(answer, Reply):
            raise unread(path, answer)
        return next(iter(answer.remote["data"]), None)


def _asking(path: str) -> dict[str, Any]:
    asked = expansions(path)
    return {"expand": asked} if asked else {}
