"""A process that asks Stripe and then forks, in each way that people do: `python -W error -m tests.support.forks`.

Its settings come from the environment. It says on its standard output what it did, in JSON, and reads one line when it
is to go on.
"""

import json
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable

from stripe_mongo_sync import sync
from stripe_mongo_sync.api import create_app
from stripe_mongo_sync.models import Customer
from stripe_mongo_sync.sync.connection import open_database
from stripe_mongo_sync.sync.settings import Settings

CHILDREN = 4


def child(work: Callable[[], object]) -> int:
    """Fork a child that does this; its exit code says whether it could."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(code)


def ended(*pids: int) -> list[int]:
    """Wait for children, and return their exit codes."""
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


def create(name: str) -> None:
    """Create a customer, who must be there at once."""
    assert sync.create_customer(f"{name}@here.com").status == "active", name


def family() -> None:
    """A child that forks a child."""
    create("mother")
    assert ended(child(lambda: create("grandchild"))) == [0]
    create("mother-again")


def served(settings: Settings, name: str) -> None:
    """What a worker does with an application that was loaded before it was forked."""
    http = APP.test_client()
    told = http.post(
        "/customers", json={"username": f"{name}@here.com"}, headers={"Authorization": "Bearer a-token-of-the-shop"}
    )
    assert told.status_code == 201, told.data
    assert http.get("/readyz").status_code == 200


if __name__ == "__main__":
    read = Settings.from_environment(serve=True)
    say: dict[str, object] = {}
    open_database(read)  # as a thread does that is about to connect
    say["meanwhile"] = ended(child(lambda: sync.connect(read)))
    APP = create_app(read, patient=True)  # connects in a thread
    busy = threading.Thread(target=create, args=("thread",))
    busy.start()  # the first request of all: a lock is held while it is under way
    sys.stdin.readline()
    say["beside a request"] = ended(child(lambda: create("beside")))
    busy.join()
    create("parent")
    say["at once"] = ended(*(child(lambda n=n: create(f"child-{n}")) for n in range(CHILDREN)))
    say["a family"] = ended(child(family))
    with multiprocessing.get_context("fork").Pool(CHILDREN) as pool:
        pool.map(create, [f"pool-{n}" for n in range(CHILDREN)], chunksize=1)
    say["an application"] = ended(*(child(lambda n=n: served(read, f"worker-{n}")) for n in range(2)))
    create("parent-again")
    say["documents"] = Customer.objects.count()
    sync.disconnect()
    print(json.dumps(say), flush=True)
