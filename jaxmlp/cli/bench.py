"""`jaxmlp bench`: how fast training is on this machine, and how near to the limit."""

from typing import Any

import click
from rich.table import Table

from jaxmlp.cli.options import Names
from jaxmlp.cli.output import console, json_option, print_json, table
from jaxmlp.evidence.speed.bench import ROUNDS, WORKLOADS, Speed, bench, machine


@click.command("bench")
@click.argument("workloads", type=Names(), default=",".join(WORKLOADS), metavar="[NAME,...]")
@click.option("--rounds", type=click.IntRange(1), default=ROUNDS, show_default=True, help="Of measurements, in turn.")
@json_option
def bench_command(workloads: Any, rounds: int, as_json: bool) -> None:
    """Measure training on the present device: small, digits, mnist and wide, or those named.

    Microseconds a step beside the limit, which is the same matrix products alone, and their rate in GFLOP/s. The
    backward pass by hand over autodiff of the same network: time, temporary bytes, FLOPs. Beside other libraries it
    is measured by a script, examples/benchmarks/compare.py.
    """
    names = (workloads,) if isinstance(workloads, str) else tuple(workloads)
    found = bench(names, rounds=rounds)
    if as_json:
        print_json({**machine(), "workloads": [speed.to_dict() for speed in found]})
        return
    out = console()
    out.print(table("machine", machine()))
    speeds = list(found)
    out.print(steps_table(speeds))
    out.print(backward_table(speeds))


def steps_table(speeds: list[Speed]) -> Table:
    """A row per workload: its step beside the products alone."""
    drawn = _table("training", ("", "network", "batch", "µs a step", "limit", "GFLOP/s", "share"))
    for speed in speeds:
        drawn.add_row(
            speed.name,
            "-".join(map(str, speed.workload.sizes)),
            str(speed.workload.batch_size),
            f"{speed.microseconds:,.1f}",
            f"{speed.limit:,.1f}",
            f"{speed.gflops:,.1f}",
            f"{speed.share.median:.0%}",
        )
    return drawn


def backward_table(speeds: list[Speed]) -> Table:
    """A row per workload: the backward pass by hand over autodiff's."""
    drawn = _table("J and gradient by hand, over autodiff's", ("", "µs", "time", "bytes", "FLOPs"))
    for speed in speeds:
        found = speed.backward
        drawn.add_row(
            speed.name,
            f"{found.microseconds[0]:,.1f}",
            found.ratio.shown(),
            _over(found.bytes),
            _over(found.flops),
        )
    return drawn


def _over(pair: tuple[float, float]) -> str:
    """The first over the second; both where that is 0."""
    first, second = pair
    return f"{first / second:.3f}" if second else f"{first:,.0f} : 0"


def _table(title: str, headings: tuple[str, ...]) -> Table:
    drawn = Table(title=title, title_justify="left", title_style="bold")
    for heading in headings:
        drawn.add_column(heading, justify="left" if heading in ("", "network") else "right", no_wrap=True)
    return drawn
