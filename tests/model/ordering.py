"""Which sight of an object is newer: the rule of the design, as a model small enough to walk through completely.

One object changes a few times, several times within a second, perhaps back to what it was, and may be deleted. Its
events come in any order and again and again; the reply to the POST that made it, or changed it, comes late, or
replayed; a page of Stripe's list shows it; two processes look again at the same time. Once everything was delivered and
nobody is looking, the document must say what Stripe says. A person who is erased meanwhile stays erased: the document
then says the part that may be kept. What no GET reads must end as the same in every order of its events.

The rule is the engine's own `merge`. A look is due (by the lease) and not done on the spot: whoever merges does it, and
reconcile if that one dies.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import NamedTuple

from stripe_mongo_sync.models.base.decision import merge
from stripe_mongo_sync.models.base.facts import Facts, Observation
from stripe_mongo_sync.models.rows.clock import LEASE, DueReason
from stripe_mongo_sync.models.rows.content import digest
from stripe_mongo_sync.models.rows.scrub import scrub
from tests.model.explore import quick

GONE = "gone"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LEASES = {0: None, -1: NOW - timedelta(seconds=1), 1: NOW + LEASE / 2, 2: NOW + LEASE}


@quick
class Doc(NamedTuple):
    """A document's snapshot, and what is known of its age."""

    linked: bool = False
    content: str = ""  # a small letter: what may be kept of it
    seen: int = -1  # snapshot_earliest: the snapshot is at least as new as this second
    doubt: int = -1  # snapshot_latest: up to this second an event may be older or newer than the snapshot
    post: int = 0  # our POST that is its operation
    lease: int = 0  # held by that POST; -1: a look is due
    again: bool = False  # held, and a look is due whatever the reply shows
    erased: bool = False  # the person that it tells of was erased


class Reply(NamedTuple):
    """An answer on its way to us: to a POST, or a page of the list, sent and answered in these seconds."""

    content: str
    earliest: int
    latest: int
    replayed: bool = False
    post: int = 0


@quick
class Look(NamedTuple):
    """A process that looks again: it read the revision, then the object."""

    earliest: int
    content: str = ""  # "" until the GET was answered
    latest: int = 0
    valid: bool = True  # whether the revision is still the one that was read


@quick
class World(NamedTuple):
    now: int = 0  # Stripe's clock has whole seconds
    history: tuple[tuple[str, int, int], ...] = ()  # the object's contents, oldest first: its second, our POST or 0
    delivered: frozenset[int] = frozenset()  # events, by their place in the history
    posts: int = 0  # POSTs still to be made by us
    sent: tuple[tuple[str, int, int], ...] = ()  # POSTs that Stripe carried out and has not answered
    replies: frozenset[Reply] = frozenset()
    lists: int = 0  # times that the list is still to be read
    read: tuple[tuple[str, int], ...] = ()  # contents that Stripe put on a page, and has not answered
    pages: frozenset[Reply] = frozenset()
    doc: Doc = Doc()
    looks: tuple[Look | None, ...] = (None, None)


Step = tuple[str, World]


@cache
def observation(
    content: str, earliest: int, latest: int, event: bool, post: int, shown: bool, events_only: bool = False
) -> Observation:
    """Return what the engine makes of an event, a page (between two seconds, like an event), or a reply."""
    gone = content == GONE
    return Observation(
        source="the model",
        stripe_id="obj",
        remote=remote(content) if shown and not gone else None,
        fields={},
        earliest=earliest if shown else -1,  # long ago
        latest=latest if shown else -1,
        event=event,
        events_only=events_only,
        deleted=gone,
        completed_key=str(post) if post else None,
        lease=None if event else LEASES[post],
    )


def remote(content: str) -> dict[str, object]:
    """Return an object with this content: a name, which is personal, and an amount, which is not."""
    return {"id": "obj", "name": content, "amount": ord(content)}


@cache
def facts_of(doc: Doc) -> Facts:
    """Return what the engine would read of this document."""
    shown = None
    if doc.content not in ("", GONE):
        stored = remote(doc.content.upper())
        shown = digest(scrub(stored) if doc.content.islower() else stored)
    return Facts(
        now=NOW,
        status="deleted" if doc.content == GONE else "active" if doc.linked else "pending",
        stripe_id="obj" if doc.linked else None,
        digest=shown,
        snapshot_earliest=doc.seen if doc.seen >= 0 else None,
        snapshot_latest=doc.doubt if doc.doubt >= 0 else None,
        confirmed_at=NOW,
        leased_until=LEASES[max(doc.lease, 0)],
        due_at=LEASES[doc.lease],
        due_reason=DueReason.REFRESH if doc.again else DueReason.UNFINISHED,
        erased=doc.erased,
        verb="update" if doc.post else None,
        key=str(doc.post) if doc.post else None,
        staged_at=NOW,
    )


def merged(doc: Doc, facts: Facts, seen: Observation) -> Doc | None:
    """Return the document that has taken in an observation; None if it changes nothing, not even the revision."""
    changes = merge(facts, seen)
    if changes is None:
        return None
    new: dict[str, object] = {}
    for name, value in changes.items():
        match name:
            case "status":
                new |= {"linked": True} if value == "active" else {"linked": True, "content": GONE}
            case "stripe":
                new["content"] = value["name"] if value else ""
            case "snapshot_earliest":
                new["seen"] = value
            case "snapshot_latest":
                new["doubt"] = value
            case "due_at" if value != facts.due_at:
                new |= {"lease": 0 if value is None else -1, "again": False}
            case "due_reason" if doc.lease > 0:
                new["again"] = value == DueReason.REFRESH
            case "operation":
                new["post"] = 0
    return doc._replace(**new)


@dataclass
class Ordering:
    """The rule, and with `broken` one part of it less."""

    broken: str = ""
    contents: str = "BA"  # what others make of the object, one after the other, if they get to it
    posts: int = 1  # ours: the first one creates
    deletes: bool = False  # others delete it in the end
    seconds: int = 2
    lookers: int = 2
    lists: int = 0  # reads of the list: by a backfill or a full comparison
    earlier_life: bool = False  # its id was chosen, and an object of that id was deleted just before
    erases: bool = False  # the person is erased
    events_only: bool = False  # others make it, and no GET reads it

    def start(self) -> World:
        if self.events_only:
            return World(history=(("A", 0, 0),), looks=())
        first = ((GONE, 0, 0),) if self.earlier_life else ()
        staged = Doc(post=1, lease=1)
        return World(doc=staged, history=first, posts=self.posts, lists=self.lists, looks=(None,) * self.lookers)

    # --- the rule ---

    def take_in(self, w: World, seen: Observation) -> World:
        """The world in which the document has merged an observation, by the engine's rule or a broken one.

        Every change of the document changes its revision, so a look in progress must start over: also an event that
        says what is known already, which may be the second of two changes, there and back.
        """
        doc, facts = w.doc, facts_of(w.doc)
        older, newer = seen.latest < doc.seen, seen.earliest > doc.doubt
        same = facts.digest is not None and seen.digest == facts.digest
        tie = doc.linked and not older and not newer and not same and seen.event and not seen.deleted
        timeless = replace(facts, snapshot_earliest=None, snapshot_latest=None)
        what = {True: "event", False: "reply"}[seen.event] if seen.earliest == seen.latest else "page"
        match self.broken:
            case "a tie is dropped" if tie:
                return w
            case "the same content does not advance snapshot_earliest" if same and seen.event:
                return w
            case "an older event is taken" if seen.event and older:
                facts = timeless
            case "an event in the doubt is taken" if tie:
                facts = replace(facts, snapshot_latest=None)
            case "a reply older than the snapshot is taken" if not seen.event and not seen.deleted:
                facts = timeless
            case "a reply that overlaps the snapshot is taken" if not seen.event and seen.earliest >= doc.seen:
                facts = replace(facts, snapshot_latest=None)
            case "a page older than the snapshot is taken" if what == "page":
                facts = timeless
            case "a page that overlaps the snapshot is taken" if what == "page" and seen.earliest >= doc.seen:
                facts = replace(facts, snapshot_latest=None)
            case "a deletion in the doubt is taken" if seen.deleted and seen.event and not older:
                facts = replace(facts, snapshot_latest=None)
            case "an erased person's content is taken":
                facts = replace(facts, erased=False)
            case "the last told of a second is taken" if same is False and not older:
                facts = replace(facts, digest="")
            case "a deletion is taken by a document without a sight" if seen.deleted and doc.linked:
                facts = replace(facts, digest=facts.digest or "of another")
        after = merged(doc, facts, seen)
        if after is None:
            return w
        after = after._replace(seen=max(after.seen, doc.seen), doubt=max(after.doubt, doc.doubt))
        if self.broken == "an event in the doubt asks for no look after the reply" and tie and doc.lease > 0:
            after = after._replace(again=doc.again)
        still = after._replace(lease=0, again=False) == doc._replace(lease=0, again=False)
        if (self.broken == "a tie leaves the revision" and tie and still) or (
            self.broken == "the same content leaves the revision" and same and after == doc
        ):
            return w._replace(doc=after)
        return self.written(w, after)

    @staticmethod
    def written(w: World, doc: Doc) -> World:
        return w._replace(doc=doc, looks=tuple(look and look._replace(valid=False) for look in w.looks))

    # --- what may happen ---

    def steps(self, w: World) -> Iterator[Step]:
        if w.now < self.seconds - 1:
            yield "a second passes", w._replace(now=w.now + 1)
        yield from self.stripe(w)
        if w.doc.lease > 0:
            yield "the lease runs out", w._replace(doc=w.doc._replace(lease=-1, again=False))
        for place, (content, created, post) in enumerate(w.history):
            if self.events_only:
                yield f"event {place + 1}: {content} of {created}", self.hear(w, place)
                continue
            unknown = content == GONE and not w.doc.linked  # it waits, and is delivered again
            after = w if unknown else self.take_in(w, observation(content, created, created, True, post, True))
            done = w.delivered if unknown else w.delivered | {place}
            yield f"event {place + 1}: {content} of {created}", after._replace(delivered=done)
        for reply in w.replies:
            shown = not reply.replayed or self.broken == "a replayed reply is trusted"
            seen = observation(reply.content, reply.earliest, reply.latest, False, reply.post, shown)
            yield f"{reply}", self.take_in(w, seen)._replace(replies=w.replies - {reply})
        for page in w.pages:
            if w.doc.linked:
                after = self.take_in(w, observation(page.content, page.earliest, page.latest, True, 0, True))
            else:  # adopted
                adopted = Doc(linked=True, content=page.content, seen=page.earliest, doubt=page.latest)
                after = self.written(w, adopted)
            yield f"page {page}", after._replace(pages=w.pages - {page})
        for n, look in enumerate(w.looks):
            yield from self.look(w, n, look)
        if self.erases and w.doc.content.isupper() and not w.doc.erased and not w.doc.post:
            erased = w.doc._replace(content=w.doc.content.lower(), erased=True)
            yield "the person is erased", self.written(w, erased)

    def hear(self, w: World, place: int) -> World:
        """The world that has heard of a change of what no GET reads; the first event makes the document."""
        content, at, _ = w.history[place]
        at -= place == 0  # the others of its second came after
        if w.doc.linked:
            after = self.take_in(w, observation(content, at, at, True, 0, True, True))
        else:
            after = w._replace(doc=Doc(linked=True, content=content, seen=at, doubt=at))
        return after._replace(delivered=w.delivered | {place})

    def stripe(self, w: World) -> Iterator[Step]:
        made = bool(w.history) and w.history[-1][0] != GONE
        theirs = sum(content in "AB" for content, _, _ in w.history) - 1  # without our creation of it
        if made and theirs < len(self.contents):
            content = self.contents[theirs]
            yield f"others make it {content}", w._replace(history=(*w.history, (content, w.now, 0)))
        if made and self.deletes:
            yield "others delete it", w._replace(history=(*w.history, (GONE, w.now, 0)))
        number = self.posts - w.posts + 1
        if w.posts and (number == 1 or (made and w.doc.linked and w.doc.content != GONE and not w.doc.post)):
            content = "O" if made else "A"
            staged = w if number == 1 else self.written(w, w.doc._replace(post=number, lease=number, again=False))
            after = staged._replace(posts=w.posts - 1, history=(*w.history, (content, w.now, number)))
            yield "we POST", after._replace(sent=(*w.sent, (content, w.now, number)))
        for sent in w.sent:
            rest = tuple(other for other in w.sent if other != sent)
            content, earliest, number = sent
            for replayed in (False, True):
                # A replay looks as if it were new: its own date is all that we can measure.
                reply = Reply(content, w.now if replayed else earliest, w.now, replayed, number)
                word = "replays" if replayed else "answers"
                yield f"Stripe {word} {content}", w._replace(sent=rest, replies=w.replies | {reply})

        if w.lists and made:
            on_page = (w.history[-1][0], w.now)
            yield f"Stripe lists {on_page[0]}", w._replace(lists=w.lists - 1, read=(*w.read, on_page))
        for content, earliest in w.read:
            left = tuple(other for other in w.read if other != (content, earliest))
            page = Reply(content, earliest, w.now)
            yield f"a page with {content} comes", w._replace(read=left, pages=w.pages | {page})

    def look(self, w: World, n: int, look: Look | None) -> Iterator[Step]:
        def put(look: Look | None) -> tuple[Look | None, ...]:
            # Which of them is the first does not matter: they stand in one order, and those that rest are last.
            looks = (*w.looks[:n], look, *w.looks[n + 1 :])
            busy = sorted(one for one in looks if one is not None)
            return (*busy, *(None,) * (len(looks) - len(busy)))

        if look is None:
            if (
                w.doc.linked
                and w.doc.lease == -1
                and w.doc.content != GONE
                and n <= sum(one is not None for one in w.looks)
            ):
                yield f"look {n + 1}: read the revision", w._replace(looks=put(Look(w.now)))
        elif not look.content:
            got = look._replace(content=w.history[-1][0], latest=w.now)
            yield f"look {n + 1}: GET says {got.content}", w._replace(looks=put(got))
        elif look.valid or self.broken == "a GET is written without the revision guard":
            seen, doubt = max(w.doc.seen, look.earliest), max(w.doc.doubt, look.latest)
            kept = look.content.lower() if w.doc.erased else look.content
            doc = w.doc._replace(content=kept, seen=seen, doubt=doubt, lease=w.doc.lease if w.doc.post else 0)
            yield f"look {n + 1}: write {look.content}", self.written(w._replace(looks=put(None)), doc)
        elif self.broken == "the revision is read after the GET":
            yield f"look {n + 1}: read the revision", w._replace(looks=put(look._replace(valid=True)))
        else:
            lost = self.broken == "a look that missed is not repeated" and w.doc.lease == -1
            doc = w.doc._replace(lease=0) if lost else w.doc
            yield f"look {n + 1}: start over", w._replace(looks=put(None), doc=doc)

    # --- what must hold ---

    def judge(self, w: World) -> str:
        doc = w.doc
        busy = (
            w.sent
            or w.replies
            or w.read
            or w.pages
            or any(w.looks)
            or (doc.linked and doc.lease and doc.content != GONE)
        )
        if busy or not w.history or len(w.delivered) < len(w.history):
            return ""
        last = w.history[-1][0]
        if self.events_only:  # of the events of the last second, one, and always the same
            second = max(at - (place == 0) for place, (_, at, _) in enumerate(w.history))
            told = [what for place, (what, at, _) in enumerate(w.history) if at - (place == 0) == second]
            last = max(told, key=lambda what: digest(remote(what)))
        if doc.content != (last.lower() if doc.erased else last):
            return f"ends behind Stripe: {doc.content or 'nothing'}, where Stripe has {last}"
        return ""

    @staticmethod
    def illegal(before: World, after: World) -> str:
        if before.doc.content == GONE != after.doc.content:
            return "a deletion was undone"
        if after.doc.content == GONE and after.history[-1][0] != GONE:
            return "marked as deleted, and still there"
        if after.doc.erased and after.doc.content.isupper():
            return "what was erased came back"
        if after.doc.seen < before.doc.seen:
            return "snapshot_earliest went back"
        return ""
