"""The entry point: `jaxmlp COMMAND ...`.

Exit codes: 0 for success, 2 for a user's mistake (one line on stderr, no traceback), 130 when interrupted. With
`--json` stdout holds one JSON object, on a mistake {"error": ...}; everything for people goes to stderr.

A command is one row of COMMANDS and one module, which is imported when the command runs: help does not wait for JAX,
and Ctrl-C during the import ends in one line as well.
"""

import logging
import os
import re
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, NamedTuple

import click

from jaxmlp import interrupts
from jaxmlp.cli import environment
from jaxmlp.cli.streams import prepare_streams
from jaxmlp.errors import InputError, nearest_name, quoted, sentence


class CommandEntry(NamedTuple):
    """The module and the function of a command, and its line in the list of commands."""

    module: str
    function: str
    help: str


COMMANDS = {
    "train": CommandEntry("train", "train", "Train a network on a data set and write a run folder."),
    "sweep": CommandEntry("sweep", "sweep_command", "Train many networks at once and rank their settings."),
    "evaluate": CommandEntry("evaluate", "evaluate_command", "Measure a model on a data set."),
    "predict": CommandEntry("predict", "predict", "Predict the rows of a file, an image file, or a folder of them."),
    "info": CommandEntry("info", "info", "Show the layers, shapes and parameters of a model, or of sizes."),
    "trace": CommandEntry("trace", "trace_command", "Print every number of both passes, with its equation."),
    "verify": CommandEntry("verify", "verify_command", "Check every formula on this machine, three ways."),
    "check-package": CommandEntry(
        "check_package", "check_package_command", "Check every custom derivative rule of an installed package."
    ),
    "diagnose": CommandEntry("diagnose", "diagnose_command", "Name what is unhealthy about a model, and the cure."),
    "bench": CommandEntry("bench", "bench_command", "Measure the speed of training on this machine."),
}


class LazyGroup(click.Group):
    """The commands of COMMANDS, each imported when it runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of this name; None for an unknown one."""
        entry = COMMANDS.get(cmd_name)
        if entry is not None:
            environment.import_jax()  # which nearly every command does, each in another place
        return entry and getattr(import_module(f"jaxmlp.cli.{entry.module}"), entry.function)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return name, command and arguments, after a check that no option is repeated."""
        name, command, arguments = super().resolve_command(ctx, args)
        if command is not None and not {"-h", "--help"}.intersection(arguments):
            check_repeated_options(click.Context(command, ctx, name), arguments)
        return name, command, arguments

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])


def check_repeated_options(context: click.Context, arguments: Sequence[str]) -> None:
    """Raise for an option that takes one value and is repeated, of which click would silently use the last.

    Raises:
      InputError: that names the option.
    """
    _, _, order = context.command.make_parser(context).parse_args(args=list(arguments))
    for param, count in Counter(order).items():
        # --shuffle and --no-shuffle are one option with two values, of which the last would win
        takes_value = isinstance(param, click.Option) and (not param.is_flag or param.secondary_opts)
        if count > 1 and takes_value and not param.multiple:
            option = max(param.opts, key=len)
            raise InputError(sentence(option, "one value", count, "write the option once"))


@click.group(
    cls=LazyGroup,
    no_args_is_help=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(None, "-V", "--version", package_name="jaxmlp", message="jaxmlp %(version)s")
@click.pass_context
def commands(context: click.Context) -> None:
    """The textbook neural network in JAX: train a multi-layer perceptron on a data file, and use it.

    Start with:  jaxmlp train digits
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
        return
    from jaxmlp.cli import compilation_cache

    environment.prepare()
    compilation_cache.enable()


def _suggest_option(error: click.NoSuchOption) -> click.UsageError:
    """Return the error with the name of an option here, `--learning-rate` for `--lr`.

    Click compares the letters alone, and its wording changes with its version.
    """
    options = error.ctx.command.params if error.ctx else []
    known = [name[2:].replace("-", "_") for option in options for name in option.opts if name.startswith("--")]
    near = nearest_name(error.option_name.lstrip("-"), known)
    if near is None:
        return error
    text = f"No such option {error.option_name!r}. Did you mean '--{near.replace('_', '-')}'?"
    return click.UsageError(text, error.ctx)


def _explain_extra(error: click.UsageError) -> click.ClickException | InputError:
    """Return the error for arguments that are too many, with what the command takes and a remedy; others as they are.

    Numbers are those of sizes or of an example, written with spaces.
    """
    extra = re.search(r"unexpected extra arguments? \((.*)\)", error.message)
    if extra is None or error.ctx is None:
        return error
    takes = " ".join(piece for piece in error.ctx.command.collect_usage_pieces(error.ctx) if piece != "[OPTIONS]")
    remedy = "give one at a time, and put a name with spaces in quotes"
    if error.ctx.info_name == "predict":
        remedy = "give one; for several images give their folder; put a name with spaces in quotes"
    if re.fullmatch(r"[-+.,\d\s]+", extra[1]):
        remedy = "write the numbers of one value together, as in 3-4-1 or 1,2,3"
    got = f"further arguments {extra[1]}"
    return InputError(sentence(str(error.ctx.info_name), takes or "options only", got, remedy))


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit status."""
    try:
        code = commands.main(list(arguments), prog_name="jaxmlp", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except (click.ClickException, InputError) as error:
        from jaxmlp.cli.output import print_error

        if isinstance(error, click.NoSuchOption):
            error = _suggest_option(error)
        elif isinstance(error, click.UsageError):
            error = _explain_extra(error)
        message = error.format_message() if isinstance(error, click.ClickException) else str(error)
        print_error(" ".join(message.split()), "--json" in arguments)  # click breaks some messages into lines
        return getattr(error, "exit_code", 2)
    except (click.Abort, KeyboardInterrupt) as error:
        cause = error.__cause__ if isinstance(error, click.Abort) else error
        advice = str(cause) if isinstance(cause, KeyboardInterrupt) else ""  # how to resume, where that is possible
        click.echo("; ".join(filter(None, ["interrupted", advice])), err=True)
        return 130
    except BrokenPipeError:  # the program that read our output has ended, as in `jaxmlp info RUN | head -1`
        _discard_output()
        return 0
    except OSError as error:  # what no command expects: a full disk under stdout, for example
        _discard_output()
        if isinstance(error, FileNotFoundError) and not _is_folder_there():
            line = sentence("the current folder", "a folder that exists", "one that was removed", "cd to another one")
            click.echo(f"error: {line}", err=True)
            return 2
        click.echo(f"error: {quoted(error)}", err=True)
        return 1
    except (RuntimeError, AssertionError) as error:
        if not _is_platform_missing(error):
            raise
        got = repr(os.environ.get("JAX_PLATFORMS", ""))
        line = sentence("JAX_PLATFORMS", "a platform that JAX can use here", got, "unset it, or write cpu")
        click.echo(f"error: {line}", err=True)
        return 2


def _is_folder_there() -> bool:
    try:
        return bool(os.getcwd())
    except FileNotFoundError:
        return False


def _is_platform_missing(error: Exception) -> bool:
    """Whether JAX has found none of the platforms that JAX_PLATFORMS names."""
    if "nable to initialize backend" in str(error):  # with a capital letter or without
        return True
    frame = error.__traceback__  # for some names JAX only asserts that there is a backend
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    is_in_jax = frame is not None and frame.tb_frame.f_code.co_name == "backends"
    return isinstance(error, AssertionError) and is_in_jax and bool(os.environ.get("JAX_PLATFORMS"))


def _discard_output() -> None:
    """Let what is still to be written to stdout go nowhere: Python would try once more at exit, and fail again."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_warning(message: Warning | str, *_: object) -> None:
    """Print a warning in one line, like an error, without its place in the code."""
    click.echo(f"warning: {quoted(' '.join(str(message).split()), 600)}", err=True)


def main() -> None:
    """Run the console script."""
    interrupts.install()
    warnings.showwarning = _print_warning
    sys.unraisablehook = threading.excepthook = _print_unless_orbax  # both pass an object with exc_type, …
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # of Orbax: what failed is told in a warning of ours
    prepare_streams()
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()  # here, because a failure at exit is a message of Python and exit status 120
    except BrokenPipeError:
        _discard_output()
    except OSError as error:
        _discard_output()
        click.echo(f"error: stdout does not take the output: {error.strerror}", err=True)
        code = code or 1
    sys.exit(code)


def _print_unless_orbax(failure: Any) -> None:
    """Print what a thread or a destructor has raised, but for what Orbax's threads raise after a write has failed.

    The failed write itself is told in a warning.
    """
    frame, files = failure.exc_traceback, []
    while frame is not None:
        files.append(frame.tb_frame.f_code.co_filename)
        frame = frame.tb_next
    if not any("orbax" in file or "asyncio" in file for file in files):
        sys.excepthook(failure.exc_type, failure.exc_value, failure.exc_traceback)
