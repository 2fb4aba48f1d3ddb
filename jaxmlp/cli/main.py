"""The entry point: `jaxmlp COMMAND ...`.

Exit codes: 0 for success, 2 for a user's mistake (one line on stderr, no traceback), 130 when interrupted. With
`--json` stdout holds one JSON object, on a mistake {"error": ...}; everything for people goes to stderr.

A command is imported when it is called: help is there at once, and Ctrl-C has its one word from the first moment on.
"""

import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

import click

from jaxmlp import __version__
from jaxmlp.errors import InputError


class Place(NamedTuple):
    """Where a command is found, and what the list of commands says of it."""

    module: str
    name: str
    says: str


COMMANDS = {
    "train": Place("train", "train", "Train a network on a data set and write a run folder."),
    "sweep": Place("sweep", "sweep", "Train many networks at once and rank their settings."),
    "evaluate": Place("evaluate", "evaluate", "Measure a model on a data set."),
    "predict": Place("predict", "predict", "Answer for rows of a file, or for a picture."),
    "info": Place("info", "info", "Show the layers, shapes and parameters of a model."),
    "verify": Place("verify", "verify", "Check every formula on this machine: the textbook's, autodiff, differences."),
    "diagnose": Place("diagnose", "diagnose_command", "Name what is unhealthy about a model, with the cure."),
    "bench": Place("bench", "bench_command", "Measure the speed of training on this machine."),
}


class Lazy(click.Group):
    """The group of COMMANDS."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name; None where there is none."""
        place = COMMANDS.get(cmd_name)
        return place and getattr(import_module(f"jaxmlp.cli.{place.module}"), place.name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, place.says) for name, place in COMMANDS.items()])


@click.group(
    cls=Lazy,
    no_args_is_help=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, "-V", "--version", message="jaxmlp %(version)s")
@click.pass_context
def commands(context: click.Context) -> None:
    """The textbook neural network in JAX: train a multi-layer perceptron on a data file, and use it.

    Start with:  jaxmlp train digits
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
        return
    from jaxmlp.cli import compilation_cache

    compilation_cache.switch_on()


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code."""
    try:
        code = commands.main(list(arguments), prog_name="jaxmlp", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except (click.ClickException, InputError) as error:
        from jaxmlp.cli.output import print_mistake

        message = error.format_message() if isinstance(error, click.ClickException) else str(error)
        print_mistake(" ".join(message.split()), "--json" in arguments)
        return 2
    except (click.Abort, KeyboardInterrupt) as error:
        cause = error.__cause__ if isinstance(error, click.Abort) else error
        advice = str(cause) if isinstance(cause, KeyboardInterrupt) else ""  # how to go on, where that is possible
        click.echo("; ".join(filter(None, ["interrupted", advice])), err=True)
        return 130
    except BrokenPipeError:  # the reader of our output has gone: nobody is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _warn(message: Warning | str, *_: object) -> None:
    """A warning in one line, as a mistake is told, without the place in the code."""
    click.echo(f"warning: {' '.join(str(message).split())}", err=True)


def main() -> None:
    """The console script."""
    warnings.showwarning = _warn
    sys.exit(run(sys.argv[1:]))
