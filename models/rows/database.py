"""Registers one database and our classes with MongoEngine under our own names, apart from those of a host application.

If the host calls `mongoengine.disconnect_all()`, our database is closed, too, and the next query opens it again.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

import mongoengine
import mongoengine.connection as known
from mongoengine.base.common import _get_documents_by_db
from mongoengine.base.metaclasses import DocumentMetaclass, TopLevelDocumentMetaclass
from mongoengine.connection import ConnectionFailure, get_db
from pymongo.database import Database

from stripe_mongo_sync.models.rows.scrub import scrub

# MongoEngine has no types. With these, a misspelled field of a document is an error for a type checker.
if TYPE_CHECKING:
    from mongoengine.base import BaseField
    from pymongo.collection import Collection

    class EmbeddedDocument:
        """A part of a document."""

        _fields: ClassVar[dict[str, BaseField]]
        _meta: ClassVar[dict[str, Any]]
        _data: dict[str, Any]

        def __init__(self, *args: Any, **values: Any) -> None: ...
        def __getitem__(self, name: str) -> Any: ...
        def __contains__(self, name: str) -> bool: ...
        def __iter__(self) -> Iterator[str]: ...
        def to_mongo(self) -> Any: ...
        @classmethod
        def _from_son(cls, son: Any, **options: Any) -> Self: ...

    class Document(EmbeddedDocument):
        """A row of a collection."""

        objects: ClassVar[Any]
        id: Any  # each document declares its own type
        pk: Any

        @classmethod
        def _get_collection(cls) -> Collection[Any]: ...
        @classmethod
        def _get_collection_name(cls) -> str: ...
        @classmethod
        def _get_db(cls) -> Any: ...
        @classmethod
        def _disconnect(cls) -> None: ...

else:
    Document, EmbeddedDocument = mongoengine.Document, mongoengine.EmbeddedDocument

WORDS = ("verb", "way", "code")  # whose values are words of ours or Stripe's
OURS = "stripe_mongo_sync"  # the alias of our database, and the beginning of our classes' registered names


class OwnParts(DocumentMetaclass):
    """Registers a part of a document. MongoEngine has one registry per process, by class name, and the host may have a
    `Customer`, too. Our names have a colon, because MongoEngine also finds a name by the part after its last dot.
    """

    def __new__(mcs, name: str, bases: tuple[type, ...], attrs: dict[str, Any]) -> Any:
        attrs.setdefault("__qualname__", name)
        made = super().__new__(mcs, mcs.registered_as(name, attrs["__module__"]), bases, attrs)
        made.__name__ = name  # only MongoEngine sees the registered name
        return made

    @staticmethod
    def registered_as(name: str, module: str) -> str:
        """Return its registered name, with its module, because several of our files have a `Cancellation`."""
        return f"{OURS}:{module.rpartition('.')[2]}:{name}"


class OwnDocuments(OwnParts, TopLevelDocumentMetaclass):
    """Registers a document."""

    @staticmethod
    def registered_as(name: str, module: str) -> str:
        """Return its registered name. It never changes, because a host's generic references store it."""
        return f"{OURS}:{name}"


class Part(EmbeddedDocument, metaclass=OwnParts):
    """A part of a document of ours."""

    meta: ClassVar = {"abstract": True, "strict": False}

    def __repr__(self) -> str:
        """Return its fields that are set, with the values that may stay of an erased person."""
        told = {name: _shown(name, value) for name, value in self._data.items()}
        return f"<{' '.join((type(self).__name__, *(f'{name}={text}' for name, text in told.items() if text)))}>"

    __str__ = __repr__


def _shown(name: str, value: Any) -> str:
    if value is None or value == []:
        return ""
    if isinstance(value, Part) or (isinstance(value, list) and all(isinstance(each, Part) for each in value)):
        return repr(value)
    may_stay = isinstance(value, str | int | float) and scrub(value, "reason" if name in WORDS else name) is not None
    return repr(value) if may_stay else "…"


class Taken(Exception):
    """Another database is open, or the host application uses MongoEngine's alias with our name."""


@dataclass(frozen=True)
class _Place:
    """The address of the database, and the options to open it with."""

    prefix: str  # of the names of our collections
    options: dict[str, Any] = field(repr=False)  # of `mongoengine.connect`; the address may hold a password


_place: _Place | None = None
_opening = threading.Lock()


def open_database(prefix: str, **options: Any) -> Database[Any]:
    """Open the database, for the collections whose names begin with this prefix. A repeated call changes nothing.

    Raises Taken; ConnectionFailure when MongoEngine cannot use these options; PyMongoError, or another error of the
    driver.
    """
    global _place
    wanted = _Place(prefix, options)
    with _opening:
        if _place not in (None, wanted) or (_place is None and OURS in known._connection_settings):
            raise Taken
        _place = wanted  # before anything is open, so that a child that is forked meanwhile closes it
        try:
            return _open(wanted)
        except BaseException:
            _close()
            raise


def database() -> Database[Any]:
    """Return our database. Raises ConnectionFailure when it was never opened."""
    try:
        found: Database[Any] = get_db(OURS)
    except ConnectionFailure:
        with _opening:
            if _place is None:
                raise ConnectionFailure("Call stripe_mongo_sync.connect() before anything else.") from None
            return _open(_place)
    return found


def close_database() -> None:
    """Close our database if it is open. The host's databases stay open."""
    with _opening:
        if _place is not None:
            _close()


def servers() -> list[tuple[str, int | None]]:
    """Return host and port of each server of our database, as far as they are known; none when it was never opened."""
    return sorted(database().client.topology_description.server_descriptions()) if _place is not None else []


def prefix() -> str:
    """Return the prefix of our collections' names."""
    return _place.prefix if _place is not None else ""


def renew(*, keep: bool) -> None:
    """In a child process, drop the parent's client; with `keep`, open the database again, else leave it closed.

    The parent's client is not used, because pymongo warns of that, and not closed, because that would end sessions of
    the parent. The new client connects when it is first used, because not every child needs it.
    """
    global _place, _opening
    _opening = threading.Lock()  # a thread of the parent may have held it
    if _place is None:
        return
    for of_mongoengine in (known._connections, known._dbs, known._connection_settings):
        of_mongoengine.pop(OURS, None)
    for model in _get_documents_by_db(OURS, known.DEFAULT_CONNECTION_NAME):
        if issubclass(model, mongoengine.Document):
            model._disconnect()  # its collection belongs to the old client
    _place = _Place(_place.prefix, {**_place.options, "connect": False}) if keep else None
    if keep:
        database()


def _open(place: _Place) -> Database[Any]:
    mongoengine.connect(alias=OURS, **place.options)
    found: Database[Any] = get_db(OURS)
    return found


def _close() -> None:
    global _place
    mongoengine.disconnect(OURS)
    _place = None
