"""Options that several commands share, and the kinds of values they take."""

import re
from typing import Any

import click
from click.core import ParameterSource

from jaxmlp.data.tasks import TASKS
from jaxmlp.errors import InputError, sentence

FIND = "find"


class Numbers(click.ParamType):
    """Whole numbers with commas: "100,50"; "none" for none."""

    name = "N,N,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """The numbers as a tuple."""
        if isinstance(value, tuple):
            return value
        if value.strip() in ("", "none"):
            return ()
        try:
            return tuple(int(part) for part in value.split(","))
        except ValueError:
            self.fail(f"expects whole numbers with commas as in 100,50, or none, got {value!r}", param, ctx)


class Names(click.ParamType):
    """One name, or several with commas; commas within parentheses stay: "leaky_relu(0.2),tanh"."""

    name = "NAME,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The name alone, or a tuple of names."""
        names = tuple(part.strip() for part in re.split(r",(?![^(]*\))", value))
        return names[0] if len(names) == 1 else names


class BatchSize(click.ParamType):
    """A whole number, or "full"."""

    name = "B|full"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """The number, or "full"."""
        if value == "full" or isinstance(value, int):
            return value
        try:
            return int(value)
        except ValueError:
            self.fail(f"expects a whole number or full, got {value!r}", param, ctx)


class Rate(click.ParamType):
    """A learning rate, or "find": the suggestion of a range test."""

    name = "α|find"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        """The number, or "find"."""
        if value == FIND or isinstance(value, float):
            return value
        try:
            return float(value)
        except ValueError:
            self.fail(f"expects a number or {FIND}, got {value!r}", param, ctx)


class Size(click.ParamType):
    """Bytes: "256MB", "2GB"; MB and GB are powers of 1024."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number of bytes."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d+)\s*(KB|MB|GB)", value.strip().upper())
        if not found or not int(found[1]):
            self.fail(f"expects a size as in 256MB or 2GB, got {value!r}", param, ctx)
        return int(found[1]) * 1024 ** (1 + ("KB", "MB", "GB").index(found[2]))


def given(context: click.Context) -> dict[str, str]:
    """The options that stand on the command line, name by name, as they are spelled there."""
    return {
        str(param.name): max(param.opts, key=len)
        for param in context.command.params
        if param.name and context.get_parameter_source(param.name) is ParameterSource.COMMANDLINE
    }


# what a run that goes on may be given anew, with --resume itself; the data have their own word
_ANEW = ("resume", "as_json", "devices", "coordinator", "num_processes", "process_id", "data")
_OF_THE_MODEL = ("hidden", "activation", "norm", "output", "scheme")
# what a run on its own can do, and a population cannot
_ALONE = ("patience", "watch", "metrics", "warm_start", "tensorboard", "checkpoint_every", "streamed")


def check_together(options: dict[str, str]) -> None:
    """Raise for options of `train`, as `given`, of which one makes the other mean nothing."""
    if "resume" in options:
        others = [spelled for name, spelled in options.items() if name not in _ANEW]
        _refuse("--resume", "no other settings than those of the run", others)
    if "warm_start" in options:
        others = [options[name] for name in _OF_THE_MODEL if name in options]
        _refuse("--warm-start", "the network of its model", others)
    if "ensemble" in options:
        others = [options[name] for name in _ALONE if name in options]
        _refuse("--ensemble", "options of a population", others)


def _refuse(option: str, expects: str, others: list[str]) -> None:
    if others:
        remedy = "leave it out" if len(others) == 1 else "leave them out"
        raise InputError(sentence(option, expects, " and ".join(others), remedy))


def data_options(command: Any) -> Any:
    """How to read a data source; the defaults are those of `jaxmlp.load`."""
    options = (
        click.option("--target", metavar="COLUMN", help="The target column of a .csv, by name or number [last]."),
        click.option("--task", type=click.Choice(["auto", *TASKS]), help="What the labels are [read off the labels]."),
        click.option("--test-fraction", type=float, help="Rows held back where there is no test part [0.2]."),
        click.option("--split-seed", type=click.IntRange(0, 2**32 - 1), help="Which rows those are [0]."),
        click.option("--standardize/--no-standardize", default=None, help="Scale by mean and deviation [tables only]."),
    )
    for option in reversed(options):
        command = option(command)
    return command
