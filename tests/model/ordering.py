"""Which sight of an object is newer: the rule of the design, as a model small enough to walk through completely.

One object changes a few times, several times within a second, perhaps back to what it was, and may be deleted. Its
events come in any order and again and again; the reply to the POST that made it, or changed it, comes late, or
replayed; a page of Stripe's list shows it; two processes look again at the same time. Once everything was delivered and
nobody is looking, the document must say what Stripe says.

A look is due (`due` is the lease) and not done on the spot: whoever absorbs does it, and reconcile if that one dies.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tests.model.explore import quick

GONE = "gone"


@quick
class Doc(NamedTuple):
    """A document's snapshot, and what is known of its age."""

    linked: bool = False
    content: str = ""
    seen: int = -1  # seen_at: the snapshot is at least as new as this second
    doubt: int = -1  # doubt_until: up to this second an event may be older or newer than the snapshot
    due: bool = True  # a look is due


class Reply(NamedTuple):
    """An answer on its way to us: to a POST, or a page of the list, sent and answered in these seconds."""

    content: str
    earliest: int
    latest: int
    replayed: bool


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
    history: tuple[tuple[str, int], ...] = ()  # the object's contents, oldest first, each with its second
    delivered: frozenset[int] = frozenset()  # events, by their place in the history
    posts: int = 0  # POSTs still to be made by us
    sent: tuple[tuple[str, int], ...] = ()  # POSTs that Stripe carried out and has not answered
    replies: frozenset[Reply] = frozenset()
    lists: int = 0  # times that the list is still to be read
    read: tuple[tuple[str, int], ...] = ()  # contents that Stripe put on a page, and has not answered
    pages: frozenset[Reply] = frozenset()
    doc: Doc = Doc()
    looks: tuple[Look | None, ...] = (None, None)


Step = tuple[str, World]


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

    def start(self) -> World:
        first = ((GONE, 0),) if self.earlier_life else ()
        return World(history=first, posts=self.posts, lists=self.lists, looks=(None,) * self.lookers)

    # --- the rule ---

    def absorb_event(self, doc: Doc, content: str, created: int) -> Doc:
        """What a document makes of an event. Whatever is not older than the snapshot changes the revision."""
        if doc.content == GONE:
            return doc
        if not doc.linked:
            if content == GONE:
                return doc  # unknown here: it waits, and is delivered again
            return Doc(linked=True, content=content, seen=created, doubt=created, due=True)
        if created < doc.seen and self.broken != "an older event is taken":
            return doc
        if content == GONE and not doc.content and self.broken != "a deletion is taken by a document without a sight":
            return doc._replace(due=True)  # of an earlier life, if the id was chosen: a look tells
        if created > doc.doubt or self.broken in ("an older event is taken", "an event in the doubt is taken"):
            return doc._replace(content=content, seen=max(doc.seen, created), doubt=max(doc.doubt, created))
        if content == GONE and self.broken == "a deletion in the doubt is taken":
            return doc._replace(content=GONE)
        if self.broken == "a tie is dropped":
            return doc
        return doc if content == doc.content else doc._replace(due=True)

    def absorb_reply(self, doc: Doc, reply: Reply) -> Doc:
        """What a document makes of the reply to a POST."""
        if doc.content == GONE:
            return doc
        if reply.replayed and self.broken != "a replayed reply is trusted":
            return doc._replace(linked=True, due=True)
        seen, doubt = max(doc.seen, reply.earliest), max(doc.doubt, reply.latest)
        if not doc.linked:
            return Doc(linked=True, content=reply.content, seen=seen, doubt=doubt, due=False)
        newer = reply.earliest > doc.doubt
        if self.broken == "a reply that overlaps the snapshot is taken":
            newer = reply.earliest >= doc.seen
        if newer or self.broken == "a reply older than the snapshot is taken":
            return doc._replace(content=reply.content, seen=seen, doubt=doubt)
        return doc if reply.content == doc.content else doc._replace(due=True)

    def absorb_page(self, doc: Doc, page: Reply) -> Doc:
        """What a document makes of its object on a page: of an event whose second is known to lie between two.

        Unlike the reply to a POST it never ends a lease. An object without a document is adopted.
        """
        if doc.content == GONE:
            return doc
        seen, doubt = max(doc.seen, page.earliest), max(doc.doubt, page.latest)
        if not doc.linked:
            return Doc(linked=True, content=page.content, seen=seen, doubt=doubt, due=False)
        if page.latest < doc.seen and self.broken != "a page older than the snapshot is taken":
            return doc
        newer = page.earliest > doc.doubt
        if self.broken == "a page that overlaps the snapshot is taken":
            newer = page.earliest >= doc.seen
        if newer or page.content == doc.content or self.broken == "a page older than the snapshot is taken":
            return doc._replace(content=page.content, seen=seen, doubt=doubt)
        return doc._replace(due=True)

    def moved(self, w: World, doc: Doc, sight: str) -> World:
        """The world with the document written: every write changes the revision, so a look in progress must start over.

        Also an event that says what is known already: it may be the second of two changes, there and back.
        """
        if doc == w.doc and sight == "old":
            return w
        if doc._replace(due=True) == w.doc._replace(due=True) and self.broken == "a tie leaves the revision":
            return w._replace(doc=doc)
        return w._replace(doc=doc, looks=tuple(look and look._replace(valid=False) for look in w.looks))

    # --- what may happen ---

    def steps(self, w: World) -> Iterator[Step]:
        if w.now < self.seconds - 1:
            yield "a second passes", w._replace(now=w.now + 1)
        yield from self.stripe(w)
        for place, (content, created) in enumerate(w.history):
            doc = w.doc
            after = self.absorb_event(doc, content, created)
            sight = "old" if created < doc.seen or doc.content == GONE else "current"
            if self.broken == "the same content does not advance seen_at" and content == doc.content:
                after, sight = doc, "old"
            if self.broken == "the same content leaves the revision" and content == doc.content and after == doc:
                sight = "old"
            done = w.delivered if content == GONE and not doc.linked else w.delivered | {place}
            yield f"event {place + 1}: {content} of {created}", self.moved(w, after, sight)._replace(delivered=done)
        for reply in w.replies:
            after = self.moved(w, self.absorb_reply(w.doc, reply), "current")
            yield f"{reply}", after._replace(replies=w.replies - {reply})
        for page in w.pages:
            sight = "old" if page.latest < w.doc.seen or w.doc.content == GONE else "current"
            after = self.moved(w, self.absorb_page(w.doc, page), sight)
            yield f"page {page}", after._replace(pages=w.pages - {page})
        for n, look in enumerate(w.looks):
            yield from self.look(w, n, look)

    def stripe(self, w: World) -> Iterator[Step]:
        made = bool(w.history) and w.history[-1][0] != GONE
        theirs = sum(content in "AB" for content, _ in w.history) - 1  # without our creation of it
        if made and theirs < len(self.contents):
            content = self.contents[theirs]
            yield f"others make it {content}", w._replace(history=(*w.history, (content, w.now)))
        if made and self.deletes:
            yield "others delete it", w._replace(history=(*w.history, (GONE, w.now)))
        if w.posts and (made or w.posts == self.posts):
            content = "O" if made else "A"
            after = w._replace(posts=w.posts - 1, history=(*w.history, (content, w.now)))
            yield "we POST", after._replace(sent=(*w.sent, (content, w.now)))
        for post in w.sent:
            rest = tuple(other for other in w.sent if other != post)
            content, earliest = post
            for replayed in (False, True):
                # A replay looks as if it were new: its own date is all that we can measure.
                reply = Reply(content, w.now if replayed else earliest, w.now, replayed)
                word = "replays" if replayed else "answers"
                yield f"Stripe {word} {content}", w._replace(sent=rest, replies=w.replies | {reply})

        if w.lists and made:
            on_page = (w.history[-1][0], w.now)
            yield f"Stripe lists {on_page[0]}", w._replace(lists=w.lists - 1, read=(*w.read, on_page))
        for content, earliest in w.read:
            left = tuple(other for other in w.read if other != (content, earliest))
            page = Reply(content, earliest, w.now, False)
            yield f"a page with {content} comes", w._replace(read=left, pages=w.pages | {page})

    def look(self, w: World, n: int, look: Look | None) -> Iterator[Step]:
        def put(look: Look | None) -> tuple[Look | None, ...]:
            # Which of them is the first does not matter: they stand in one order, and those that rest are last.
            looks = (*w.looks[:n], look, *w.looks[n + 1 :])
            busy = sorted(one for one in looks if one is not None)
            return (*busy, *(None,) * (len(looks) - len(busy)))

        if look is None:
            if w.doc.linked and w.doc.due and w.doc.content != GONE and n <= sum(one is not None for one in w.looks):
                yield f"look {n + 1}: read the revision", w._replace(looks=put(Look(w.now)))
        elif not look.content:
            got = look._replace(content=w.history[-1][0], latest=w.now)
            yield f"look {n + 1}: GET says {got.content}", w._replace(looks=put(got))
        elif look.valid or self.broken == "a GET is written without the revision guard":
            seen, doubt = max(w.doc.seen, look.earliest), max(w.doc.doubt, look.latest)
            doc = w.doc._replace(content=look.content, seen=seen, doubt=doubt, due=False)
            yield f"look {n + 1}: write {look.content}", self.moved(w._replace(looks=put(None)), doc, "current")
        elif self.broken == "the revision is read after the GET":
            yield f"look {n + 1}: read the revision", w._replace(looks=put(look._replace(valid=True)))
        else:
            due = self.broken != "a look that missed is not repeated"
            yield f"look {n + 1}: start over", w._replace(looks=put(None), doc=w.doc._replace(due=w.doc.due and due))

    # --- what must hold ---

    def judge(self, w: World) -> str:
        doc = w.doc
        busy = (
            w.sent or w.replies or w.read or w.pages or any(w.looks) or (doc.linked and doc.due and doc.content != GONE)
        )
        if busy or not w.history or len(w.delivered) < len(w.history):
            return ""
        if doc.content != w.history[-1][0]:
            return f"ends behind Stripe: {doc.content or 'nothing'}, where Stripe has {w.history[-1][0]}"
        return ""

    @staticmethod
    def illegal(before: World, after: World) -> str:
        if before.doc.content == GONE != after.doc.content:
            return "a deletion was undone"
        if after.doc.content == GONE and after.history[-1][0] != GONE:
            return "marked as deleted, and still there"
        if after.doc.seen < before.doc.seen:
            return "seen_at went back"
        return ""
