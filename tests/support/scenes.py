"""Scenes: what many tests begin from is arranged once, and each of them gets a copy of both sides as they were then."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from stripe_mongo_sync.emulator import Emulator
from stripe_mongo_sync.models import StagedDocument, kinds
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.state import MIGRATIONS, SCHEMA
from tests.support.mongo import our_database
from tests.support.world import World

T = TypeVar("T")


@dataclass(frozen=True)
class Scene:
    """Both sides, their time, and what the service was told to be, at one moment; and what who arranged it returned."""

    rows: dict[str, list[dict[str, Any]]]
    stripe: Emulator
    settings: dict[str, str]
    ahead: timedelta
    at: float
    told: Any


OF_DATABASE = [SCHEMA, MIGRATIONS]
SCENES: dict[tuple[object, ...], Scene] = {}


def begin(world: World, arrange: Callable[..., T], *given: str) -> T:
    """Bring a world to where `arrange` brings it, as if no time had passed since, and let its process begin anew.

    Return what `arrange` returned; a document is read again. Only of a new world there is a copy: where Stripe was
    asked something already, it is arranged again. A fault of Stripe comes after it, or the copy has none.
    """
    if world.stripe.requests:
        return arrange(world, *given)
    scene = SCENES.get((arrange, *given))
    if scene is None:
        told = arrange(world, *given)
        database = our_database()
        rows = {name: list(database[name].find()) for name in database.list_collection_names()}
        rows = {name: found for name, found in rows.items() if found}  # the others are empty in a new world
        scene = Scene(rows, world.stripe.copy(), dict(world.settings), clock.TEST_OFFSET, time.time(), told)
        SCENES[arrange, *given] = scene
    else:
        _restore(world, scene)
    world.start()
    found: T = scene.told.fetch_latest() if isinstance(scene.told, StagedDocument) else scene.told
    return found


def _restore(world: World, scene: Scene) -> None:
    """What says which indexes are there stays as it is: it is of this database, and not of the scene."""
    database, since = our_database(), time.time() - scene.at
    models = {model.plural(): model for model in kinds().values()}
    for name, rows in scene.rows.items():
        there = models[name].insert_collection() if name in models else database[name]
        there.delete_many({"_id": {"$nin": OF_DATABASE}})
        if told := [row for row in rows if row["_id"] not in OF_DATABASE]:
            there.insert_many(told)
    world.settings.update(scene.settings)
    world.stripe.become(scene.stripe.copy())
    world.stripe.clock.advance(-since)
    clock.TEST_OFFSET = scene.ahead - timedelta(seconds=since)
