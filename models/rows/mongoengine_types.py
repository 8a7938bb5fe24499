"""Types of MongoEngine's base classes for type checkers, because MongoEngine has none.

With them, a misspelled field of a document is an error. Of a class whose base is unknown, a checker accepts any name.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Self

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
    from mongoengine import Document, EmbeddedDocument

__all__ = ["Document", "EmbeddedDocument"]
