"""A row that is shown in lists: its filters, and the indexes of these."""

from collections.abc import AsyncIterable, Iterator, Mapping
from datetime import timedelta
from functools import cache
from typing import Any, ClassVar, TypeVar

from pymongo import IndexModel

from stripe_mongo_sync.models.lists.filters import Filters, filters_of
from stripe_mongo_sync.models.rows.own_rows import OwnRows

T = TypeVar("T")


class Documents(Iterator[T], AsyncIterable[T]):
    """The documents of a list, one after the other, for `for` and for `async for`."""


class Listed(OwnRows):
    """A row that is shown in lists, for `StagedDocument`."""

    meta: ClassVar[dict[str, Any]] = {"abstract": True}
    resource: ClassVar[Any]

    @classmethod
    def own_fields(cls) -> Mapping[str, Any]:
        """Return the fields that a caller sees, by name."""
        return {}

    @classmethod
    @cache
    def filters(cls) -> Filters:
        """Return the filters of this type's lists."""
        return filters_of(cls.resource.kind, cls.own_fields(), mirrored=cls.resource.mirrored)

    @classmethod
    def wanted(cls, keep: timedelta) -> list[IndexModel]:
        """Return the indexes that the collection must have, with those of its lists."""
        return [*super().wanted(keep), *cls.filters().indexes]
