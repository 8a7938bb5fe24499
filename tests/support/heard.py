"""Hears what is asked of MongoDB, from outside, by the names of the commands."""

from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent


class Listener(CommandListener):
    """Does nothing. Whoever derives from it says in `started` what it does before a command is sent.

    pymongo prints an Exception that is raised there, and goes on: a test must keep it, and raise it itself.
    """

    def started(self, event: CommandStartedEvent) -> None:
        """Nothing."""

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Nothing."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Nothing, likewise."""


class Heard(Listener):
    """Notes the name of every command that is sent."""

    def __init__(self) -> None:
        self.commands: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.commands.append(event.command_name)
