"""`stripe-mongo-sync new-installation`: give a cloned database an identity of its own."""

from stripe_mongo_sync.sync.commands.cli import Given, command, say


@command("new-installation", "give a cloned database an identity of its own", examples=("new-installation",))
def main(given: Given) -> int:
    """Give the database a new installation id."""
    from stripe_mongo_sync.models.state import State

    id = State.renew_installation()
    say(given, {"installation": id}, f"this database is now installation {id}: restart every process that uses it")
    return 0
