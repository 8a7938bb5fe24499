"""Hears what is asked of MongoDB, from outside, by the names of the commands."""

from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent


class Heard(CommandListener):
    """Notes the name of every command that is sent."""

    def __init__(self) -> None:
        self.commands: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.commands.append(event.command_name)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Nothing: it was noted when it was sent."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Nothing, likewise."""
