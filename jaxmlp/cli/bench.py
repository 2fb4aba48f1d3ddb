"""`jaxmlp bench`: the speed of training on this machine, beside its limit."""

import click
from rich.table import Table

from jaxmlp.cli.options import Names
from jaxmlp.cli.output import columns_table, console, facts_table, json_option, print_json
from jaxmlp.evidence.speed.bench import ROUNDS, WORKLOADS, Speed, bench, machine


@click.command("bench")
@click.argument("workloads", type=Names(), default=",".join(WORKLOADS), metavar="[NAME,...]")
@click.option("--rounds", type=click.IntRange(1), default=ROUNDS, show_default=True, help="Number of measurements.")
@json_option
def bench_command(workloads: str | tuple[str, ...], rounds: int, as_json: bool) -> None:
    """Measure the speed of training on this device, with small, digits, mnist and wide, or only with NAME,....

    The first table compares the time of a step with its limit, the time of the matrix products alone, and shows their
    speed in GFLOP/s. The second table divides time, temporary bytes and FLOPs of the hand-written backward pass by
    those of autodiff. The script examples/benchmarks/compare.py measures other libraries too.
    """
    speeds = bench((workloads,) if isinstance(workloads, str) else tuple(workloads), rounds=rounds)
    if as_json:
        print_json({**machine(), "workloads": [speed.to_dict() for speed in speeds]})
        return
    out = console()
    out.print(facts_table("machine", machine()))
    speeds = list(speeds)
    out.print(steps_table(speeds))
    out.print(backward_table(speeds))


def steps_table(speeds: list[Speed]) -> Table:
    """Return a table with a row per workload: its step beside the bare products."""
    rows = (
        (
            speed.name,
            "-".join(map(str, speed.workload.sizes)),
            str(speed.workload.batch_size),
            f"{speed.microseconds:,.1f}",
            f"{speed.limit:,.1f}",
            f"{speed.gflops:,.1f}",
            f"{speed.efficiency.median:.0%}",
        )
        for speed in speeds
    )
    headings = ("", "network", "batch", "µs a step", "limit", "GFLOP/s", "efficiency")
    return columns_table("training", headings, rows, text_columns=("", "network"))


def backward_table(speeds: list[Speed]) -> Table:
    """Return a table with a row per workload: the hand-written backward pass over autodiff's."""
    rows = (
        (
            speed.name,
            f"{speed.backward.microseconds[0]:,.1f}",
            speed.backward.ratio.text(),
            _quotient(*speed.backward.bytes),
            _quotient(*speed.backward.flops),
        )
        for speed in speeds
    )
    return columns_table("J and gradient by hand, over autodiff's", ("", "µs", "time", "bytes", "FLOPs"), rows)


def _quotient(manual: float, autodiff: float) -> str:
    """Return manual / autodiff as text, or both numbers if the second is 0."""
    return f"{manual / autodiff:.3f}" if autodiff else f"{manual:,.0f} : 0"
