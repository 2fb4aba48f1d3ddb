"""`jaxmlp check-package PKG`: every custom rule of an installed package, one row a rule."""

import click

from jaxmlp.cli.output import columns_table, console, json_option, print_json
from jaxmlp.evidence.package_check.check_package import check_package
from jaxmlp.evidence.package_check.judge import SECONDS_PER_RULE, RuleRow

HEADINGS = ("rule", "verdict", "arguments", "note")


@click.command("check-package")
@click.argument("package")
@click.option(
    "--time-limit",
    type=click.FloatRange(min=0),
    default=SECONDS_PER_RULE,
    show_default=True,
    help="Seconds after which the check of a rule starts no new row.",
)
@json_option
def check_package_command(package: str, time_limit: float, as_json: bool) -> int:
    """Find every custom_vjp and custom_jvp of PACKAGE, and check each with random arguments.

    PASS means that autodiff or differences confirmed the gradient, and that no check failed. NOT JUDGED means that no
    suitable arguments are known, or that no check could decide; a note says why. If a rule fails, the exit status is 1.
    A rule that differs from the derivative on purpose fails as well: use jaxmlp.check_vjp(rule, ..., reference=...).
    """
    report = check_package(package, time_limit=time_limit, show=_show_progress)
    if as_json:
        print_json(report.to_dict())
    else:
        out = console()
        rows = [(row.rule, row.verdict, row.arguments, row.note) for row in report.rows]
        out.print(columns_table(report.title, HEADINGS, rows, text_columns=HEADINGS))
        for line in report.failed_imports:
            out.print(f"not imported: {line}", soft_wrap=True)
        out.print(report.summary())
    return 0 if report.passed else 1


def _show_progress(row: RuleRow, number: int, count: int) -> None:
    """Print a line on stderr for each rule: a large package takes minutes."""
    click.echo(f"{number}/{count}  {row.verdict}  {row.rule}", err=True)
