"""The commands and groups of which the command line is made, and the types of their arguments.

They are click's. Ours differ in this: a command gets one `Given`, and is run after the whole line was understood; help
shows examples; and all text passes the screen, because click writes UTF-8 to a terminal that has ASCII alone.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module
from types import SimpleNamespace
from typing import Any, TypeVar

import click

from stripe_mongo_sync.sync.process import screen
from stripe_mongo_sync.sync.process.starting import PROGRAM, SCRIPT

NEEDS_OPERATOR, CANNOT_CHECK = 1, 2
HELP = "help_option_names"
Run = Callable[["Given"], int]
DURATION = re.compile(r"(.*?)\s*(s|min|h|d)?", re.DOTALL)
Number = TypeVar("Number", int, float)


class Given(SimpleNamespace):
    """What a command line gives: an attribute for each option and argument, its `command`, and click's `context`."""


class Formatter(click.HelpFormatter):
    """Formats help for a terminal: with bold headings, and the names of options and commands in colour."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write how the command is called."""
        super().write_usage(prog, args, f"{screen.BOLD}usage:{screen.RESET} ")

    def write_heading(self, heading: str) -> None:
        """Write a heading."""
        super().write_heading(f"{screen.BOLD}{heading}{screen.RESET}")

    def write_dl(self, rows: Any, col_max: int = 30, col_spacing: int = 2) -> None:
        """Write names, and what each means."""
        super().write_dl([(f"{screen.CYAN}{name}{screen.RESET}", told) for name, told in rows], col_max, col_spacing)


class Context(click.Context):
    """The parsing of one line, with our way to format help."""

    formatter_class = Formatter


class Described(click.Command):
    """What a command and a group have in common: their help."""

    context_class = Context
    help: str
    examples: Sequence[str] = ()

    def get_help_option_names(self, ctx: click.Context) -> list[str]:
        """Return the names of its own option: click takes those of the first line that it reads, which `serve` sets."""
        own: list[str] = self.context_settings.get(HELP, ["-h", "--help"])
        return own

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return the option --help, which prints by our screen."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.callback, option.help = _help, "show this help"
        return option

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what it does, as a sentence."""
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(f"{self.help[0].upper()}{self.help[1:]}.")

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, and what else is to be said."""
        if self.examples:
            with formatter.section("Examples"):
                for each in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{PROGRAM} {each}\n")
        super().format_epilog(ctx, formatter)


class Command(Described):
    """A command that runs something.

    With `connects`, the process is connected to MongoDB and Stripe before `run` is called. A command that only `reads`
    may be stopped anywhere; the others say where (sync/process/stop.py). Of the parameters in `one_of`, exactly one
    must be given.
    """

    def __init__(
        self,
        *args: Any,
        run: Run,
        connects: bool = True,
        reads: bool = False,
        json: bool = True,
        examples: Sequence[str] = (),
        one_of: Sequence[str] = (),
        **more: Any,
    ) -> None:
        super().__init__(*args, **more)
        if json:
            self.params.append(click.Option(["--json"], is_flag=True, help="print JSON, errors too"))
        self.run, self.connects, self.reads, self.examples, self.one_of = run, connects, reads, examples, one_of

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the line. Raises UsageError, also unless exactly one of `one_of` is given."""
        rest = super().parse_args(ctx, args)
        hints = {each.name: each.get_error_hint(ctx) for each in self.params if each.name in self.one_of}
        if self.one_of and sum(bool(ctx.params[name]) for name in self.one_of) != 1 and not ctx.resilient_parsing:
            raise click.UsageError(f"Give exactly one of {' and '.join(hints.values())}.", ctx)
        return rest

    def invoke(self, ctx: click.Context) -> Given:
        """Return what was given: `sync/__main__.py` runs it."""
        return Given(**{"json": False, **ctx.params}, command=self, context=ctx)


class Group(Described, click.Group):
    """A command that consists of others. Alone, it prints its help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the others, in the order of their definition."""
        return list(self.commands)

    def action(self, name: str, help: str, **more: Any) -> Callable[[Run], Command]:
        """Make a function one of the others, as `command` does."""

        def added(run: Run) -> Command:
            made = command(name, help, **more)(run)
            self.add_command(made)
            return made

        return added

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the others, then the options."""
        self.format_commands(ctx, formatter)
        click.Command.format_options(self, ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what each of the others does."""
        with formatter.section("Actions"):
            formatter.write_dl([(name, str(each.help)) for name, each in self.commands.items()])


class Root(Group):
    """The whole command line. A command is loaded when its line is read, so that nobody waits for the others.

    `sections` has the names of all, with what each does in a few words, under the headings of the help.
    """

    def __init__(self, *, sections: Mapping[str, Mapping[str, str]], package: str, **more: Any) -> None:
        super().__init__(SCRIPT, **more)
        self.sections, self.package = sections, package

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return [name for section in self.sections.values() for name in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command: its file is called as it is."""
        if cmd_name not in self.list_commands(ctx):
            return None
        found: click.Command = import_module(f"{self.package}.{cmd_name.replace('-', '_')}").main
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of a line. Raises NoSuchCommand, with the names that may be meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            raise click.NoSuchCommand(error.command_name, None, self.list_commands(ctx), ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what each command does, without loading any."""
        width = max(map(len, self.list_commands(ctx)))
        for heading, section in self.sections.items():
            with formatter.section(heading):
                formatter.write_dl([(f"{name:{width}}", told) for name, told in section.items()])


def command(name: str, help: str, **more: Any) -> Callable[[Run], Command]:
    """Make a function a command; what it does is a phrase, which begins with a verb and ends without a full stop."""
    return lambda run: click.command(name, cls=Command, help=help, run=run, **more)(run)


def group(name: str, help: str) -> Group:
    """Return a command that consists of others: `@main.action(…)` adds one."""
    return Group(name, help=help)


def flag(name: str, help: str) -> Callable[[Any], Any]:
    """Give a command an option that has no value."""
    return click.option(name, is_flag=True, help=help)


DRY_RUN = flag("--dry-run", "only say what would be done, and change nothing")


def try_out(given: Given, act: Callable[[], Any]) -> int:
    """Say what an act of an operator would do, and return the exit code. Raises what the act raises."""
    from stripe_mongo_sync.sync.operator.plan import plan

    told = plan(act)
    say(given, told.as_json(), *told.lines)
    return 0


def _help(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        screen.show(f"{ctx.get_help()}\n")
        ctx.exit()


def refuse(given: Given, message: str) -> click.UsageError:
    """Return the error of a line that cannot be meant."""
    return click.UsageError(message, given.context)


def say(given: Given, data: Any, *lines: str) -> bool:
    """Print `data` with `--json`, else these lines; return False when the output is closed."""
    return screen.put(screen.in_json(data)) if given.json else screen.tell(*lines)


def _number(kind: type[Number], text: str) -> Number:
    try:
        return kind(text)
    except ValueError:
        return kind(0)


def seconds(text: str) -> float:
    """Return a duration above zero in seconds: 300, 5min, 2h."""
    found = DURATION.fullmatch(text)
    value = _number(float, found[1]) * dict(screen.UNITS)[found[2] or "s"] if found else 0
    if not 0 < value < 10**7:
        raise click.BadParameter("must be a number of seconds above 0, or as 5min, 2h")
    return value


def count(text: str) -> int:
    """Return a whole number above zero."""
    value = _number(int, text)
    if not 0 < value < 10**7:
        raise click.BadParameter("must be a whole number above 0")
    return value


def rate(text: str) -> float:
    """Return a number of requests a second above zero."""
    value = _number(float, text)
    if not 0 < value <= 1000:
        raise click.BadParameter("must be a number of requests a second above 0, at most 1000")
    return value


def moment(text: str) -> datetime:
    """Return the moment of an ISO date or time, which is UTC unless it names a zone."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter("must be a date, 2026-11-23, or a time, 2026-11-23T18:00+01:00") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)
