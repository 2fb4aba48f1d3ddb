"""Options that several commands share, the types of their values, and options that exclude one another."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import click
from click.core import ParameterSource

from jaxmlp.data.image_folders import as_image_size
from jaxmlp.data.tasks import TASKS
from jaxmlp.errors import InputError, sentence
from jaxmlp.tabular.options import SCALINGS, SEPARATORS
from jaxmlp.tabular.roles import ROLES

FIND = "find"

Decorator = Callable[[click.decorators.FC], click.decorators.FC]
Options = dict[str, Any]  # the values of a command's options, by name


def apply_options(command: click.decorators.FC, options: Sequence[Decorator]) -> click.decorators.FC:
    """Add options to a command; its help lists them in this order."""
    for option in reversed(options):  # click lists the decorator that is applied last first
        command = option(command)
    return command


class Numbers(click.ParamType):
    """Whole numbers with commas: "100,50"; "none" for none."""

    name = "N,N,..."

    def convert(
        self, value: str | tuple[int, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Return the numbers as a tuple."""
        if isinstance(value, tuple):
            return value
        if value.strip() in ("", "none"):
            return ()
        try:
            return tuple(int(part) for part in value.split(","))
        except ValueError:
            self.fail(f"expects whole numbers with commas as in 100,50, or none, got {value!r}", param, ctx)


class Names(click.ParamType):
    """One name, or several with commas; commas within parentheses belong to the name: "leaky_relu(0.2),tanh"."""

    name = "NAME,..."

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str | tuple[str, ...]:
        """Return a single name as it is, several as a tuple."""
        # a comma after which a closing parenthesis comes before any opening one belongs to a name
        names = tuple(part.strip() for part in re.split(r",(?![^(]*\))", value))
        return names[0] if len(names) == 1 else names


class BatchSize(click.ParamType):
    """A whole number, or "full"."""

    name = "B|full"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """Return the number, or "full"."""
        if value == "full" or isinstance(value, int):
            return value
        try:
            return int(value)
        except ValueError:
            self.fail(f"expects a whole number or full, got {value!r}", param, ctx)


class Rate(click.ParamType):
    """A learning rate, or "find": the suggestion of a range test."""

    name = "α|find"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        """Return the number, or "find"."""
        if value == FIND or isinstance(value, float):
            return value
        try:
            return float(value)
        except ValueError:
            self.fail(f"expects a number or {FIND}, got {value!r}", param, ctx)


class Size(click.ParamType):
    """Bytes: "256MB", "2GB"; MB and GB are powers of 1024."""

    name = "SIZE"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number of bytes."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d+)\s*(KB|MB|GB)", value.strip().upper())
        if not match or not int(match[1]):
            self.fail(f"expects a size as in 256MB or 2GB, got {value!r}", param, ctx)
        return int(match[1]) * 1024 ** (1 + ("KB", "MB", "GB").index(match[2]))


class ImageSize(click.ParamType):
    """The size of a picture: "64x48" for a height of 64 and a width of 48, or "64" for both."""

    name = "HEIGHTxWIDTH"

    def convert(
        self, value: str | tuple[int, int], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Return the height and the width."""
        return as_image_size(value)


def options_on_command_line(context: click.Context) -> dict[str, str]:
    """Return the options that the user has written, as {name: spelling}, without those at their defaults."""
    return {
        str(param.name): max(param.opts, key=len)
        for param in context.command.params
        if param.name and context.get_parameter_source(param.name) is ParameterSource.COMMANDLINE
    }


# What may change when a run is resumed: where it runs, not what it computes. DATA has an error of its own.
_WITH_RESUME = ("resume", "as_json", "devices", "coordinator", "num_processes", "process_id", "data", "epochs")
_NETWORK_OPTIONS = ("hidden", "activation", "norm", "output", "members", "parametric", "initializer")
_COLUMN_OPTIONS = ("features", "drop", "keep", "roles", "numbers", "standardize", "image_size")
# `fit` takes these and `fit_many` does not
_SINGLE_RUN_OPTIONS = (
    "preset",
    "patience",
    "monitor",
    "metrics",
    "warm_start",
    "tensorboard",
    "checkpoint_every",
    "streamed",
)


def check_together(options: dict[str, str]) -> None:
    """Raise if one option of `train` makes another meaningless.

    Args:
      options: as `options_on_command_line` returns them.

    Raises:
      InputError: that names the options to leave out.
    """
    if "resume" in options:
        excluded = [spelling for name, spelling in options.items() if name not in _WITH_RESUME]
        _refuse_together("--resume", "no other settings than those of the run", excluded)
    if "warm_start" in options:
        excluded = [options[name] for name in _NETWORK_OPTIONS if name in options]
        _refuse_together("--warm-start", "the network of its model", excluded)
        excluded = [options[name] for name in _COLUMN_OPTIONS if name in options]
        _refuse_together("--warm-start", "the columns and the scaling of its model", excluded)
    if "ensemble" in options:
        excluded = [options[name] for name in _SINGLE_RUN_OPTIONS if name in options]
        _refuse_together("--ensemble", "options of a population", excluded)


def _refuse_together(option: str, expects: str, excluded: list[str]) -> None:
    if excluded:
        remedy = "leave it out" if len(excluded) == 1 else "leave them out"
        raise InputError(sentence(option, expects, " and ".join(excluded), remedy))


_WITH_COMMA = """; '"a, b"' is one column"""


def data_options(command: click.decorators.FC) -> click.decorators.FC:
    """Add the options that say how to read a data source; the defaults are those of `jaxmlp.load`."""
    options = (
        click.option("--target", metavar="COLUMN", multiple=True,
                     help="Name or number of the target column; repeat the option for several targets [last]."),
        click.option("--task", type=click.Choice(["auto", *TASKS]), help="The task [follows from the labels]."),
        click.option("--test-fraction", type=float, help="Fraction of test rows, if DATA has no test part [0.2]."),
        click.option("--split-seed", type=click.IntRange(0, 2**32 - 1), help="Seed that selects the test rows [0]."),
        click.option("--standardize/--no-standardize", default=None,
                     help="Scale features to mean 0 and standard deviation 1 [tables only]."),
        click.option("--features", metavar="COLUMN,...", multiple=True,
                     help=f"Columns to use{_WITH_COMMA} [all but the target]."),
        click.option("--drop", metavar="COLUMN,...", multiple=True, help=f"Columns to leave out{_WITH_COMMA}."),
        click.option("--keep", metavar="COLUMN,...", multiple=True,
                     help=f"Columns to use although they look like free text, identifiers or constants{_WITH_COMMA}."),
        click.option("--role", "roles", metavar="COLUMN=ROLE", multiple=True,
                     help=f"How to use a column: {', '.join(ROLES)} [follows from its cells]."),
        click.option("--weights", metavar="COLUMN", help="Column with the weight of each row [equal weights]."),
        click.option("--numbers", type=click.Choice(SCALINGS), help="How to scale columns of numbers [standard]."),
        click.option("--image-size", type=ImageSize(),
                     help="Resize the pictures of a folder: 64x64, or 64 [all of them have one size]."),
    )  # fmt: skip
    return apply_options(text_options(command), options)


def text_options(command: click.decorators.FC) -> click.decorators.FC:
    """Add the options that say how the text of a table is read."""
    options = (
        click.option("--missing", metavar="WORD", multiple=True, help="Another word that means a missing value."),
        click.option(
            "--separator",
            help=f"Separator of columns: a character, or {', '.join(SEPARATORS)} [follows from the text].",
        ),
        click.option("--decimal", metavar="SIGN", help="Decimal point or decimal comma [follows from the text]."),
        click.option("--thousands", metavar="SIGN", help="Thousands separator [follows from the text]."),
        click.option("--encoding", help="Encoding of the text [UTF-8, else cp1252]."),
        click.option(
            "--header/--no-header", default=None, help="Whether line 1 names the columns [follows from the text]."
        ),
    )
    return apply_options(command, options)
