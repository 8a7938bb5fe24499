"""`stripe-mongo-sync completion`: print a script that completes commands, options and values in a shell."""

import os

import click

from stripe_mongo_sync.sync.commands.cli import Given, command
from stripe_mongo_sync.sync.process.screen import in_json, put
from stripe_mongo_sync.sync.process.starting import SCRIPT

SHELLS = ("bash", "zsh", "fish")
ASKS = "_STRIPE_MONGO_SYNC_COMPLETE"  # set by the script: the shell, and that it asks


@command(
    "completion",
    "print a script that completes commands, options and values in a shell",
    connects=False,
    reads=True,
    epilog=f'For each new shell: bash: eval "$({SCRIPT} completion bash)" in ~/.bashrc; zsh: the same in ~/.zshrc, '
    "after compinit; fish: the output into ~/.config/fish/completions/" + f"{SCRIPT}.fish.",
    examples=("completion bash > ~/.stripe-mongo-sync.bash",),
)
@click.argument("shell", type=click.Choice(SHELLS), metavar="SHELL", help=f"{', '.join(SHELLS)}")
def main(given: Given) -> int:
    """Print the script of a shell."""
    from click.shell_completion import ShellComplete, get_completion_class

    from stripe_mongo_sync.sync.commands import ROOT

    asked = get_completion_class(given.shell) or ShellComplete
    script = ShellComplete.source(asked(ROOT, {}, SCRIPT, ASKS))  # bash's own first starts a bash, for its version
    put(*([in_json({"shell": given.shell, "script": script})] if given.json else script.splitlines()))
    return 0


def completed() -> bool:
    """If a shell asks, print how its line may go on."""
    asked = os.environ.get(ASKS, "")
    if asked not in {f"{shell}_complete" for shell in SHELLS}:
        return False
    from click.shell_completion import ShellComplete, get_completion_class

    from stripe_mongo_sync.sync.commands import ROOT

    shell = (get_completion_class(asked.partition("_")[0]) or ShellComplete)(ROOT, {}, SCRIPT, ASKS)
    put(*shell.complete().splitlines())
    return True
