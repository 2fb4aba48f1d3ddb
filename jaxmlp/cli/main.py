"""The entry point: `jaxmlp COMMAND ...`.

Exit codes: 0 for success, 2 for a user's mistake (one line on stderr, no traceback), 130 when interrupted. With
`--json` stdout holds one JSON object, on a mistake {"error": ...}; everything for people goes to stderr.
"""

import os
import sys
from collections.abc import Sequence

import click

from jaxmlp import __version__
from jaxmlp.cli.diagnose import diagnose_command
from jaxmlp.cli.evaluate import evaluate
from jaxmlp.cli.info import info
from jaxmlp.cli.output import print_json
from jaxmlp.cli.predict import predict
from jaxmlp.cli.sweep import sweep
from jaxmlp.cli.train import train
from jaxmlp.cli.verify import verify
from jaxmlp.errors import InputError


@click.group(
    commands=[train, sweep, evaluate, predict, info, verify, diagnose_command],
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


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code."""
    try:
        code = commands.main(list(arguments), prog_name="jaxmlp", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except (click.ClickException, InputError) as error:
        message = error.format_message() if isinstance(error, click.ClickException) else str(error)
        return _mistake(" ".join(message.split()), "--json" in arguments)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return 130
    except BrokenPipeError:  # the reader of our output has gone: nobody is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _mistake(line: str, json: bool) -> int:
    click.echo(f"error: {line}", err=True)
    if json:
        print_json({"error": line})
    return 2


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))
