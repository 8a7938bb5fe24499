"""Scenes: what many tests begin from is arranged once, and each of them gets a copy of both sides as they were then."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from mongoengine.connection import get_db

from emulator import Emulator
from models import clock
from tests.support.world import World


@dataclass(frozen=True)
class Scene:
    """Both sides, their time, and what the service was told to be, at one moment."""

    rows: dict[str, list[dict[str, Any]]]
    stripe: Emulator
    settings: dict[str, str]
    ahead: timedelta
    at: float


SCENES: dict[Callable[[World], object], Scene] = {}


def begin(world: World, arrange: Callable[[World], object]) -> None:
    """Bring a world to where `arrange` brings it, as if no time had passed since, and let its process begin anew.

    Only of a new world there is a copy: where something has happened already, it is arranged again.
    """
    new = not world.stripe.requests
    if new and arrange in SCENES:
        _restore(world, SCENES[arrange])
    else:
        arrange(world)
    if new and arrange not in SCENES:
        database = get_db()
        rows = {name: list(database[name].find()) for name in database.list_collection_names()}
        SCENES[arrange] = Scene(rows, world.stripe.copy(), dict(world.settings), clock.AHEAD, time.time())
    world.start()


def _restore(world: World, scene: Scene) -> None:
    database, since = get_db(), time.time() - scene.at
    for name, rows in scene.rows.items():
        database[name].delete_many({})
        if rows:
            database[name].insert_many(rows)
    world.settings.update(scene.settings)
    world.stripe.become(scene.stripe.copy())
    world.stripe.clock.advance(-since)
    clock.AHEAD = scene.ahead - timedelta(seconds=since)
