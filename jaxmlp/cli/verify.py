"""`jaxmlp verify [MODEL]`: the certificate; exit status 1 when a check fails."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click

from jaxmlp.cli.output import columns_table, console, json_option, print_json
from jaxmlp.cli.precise import verify_digits
from jaxmlp.errors import InputError, sentence
from jaxmlp.evidence.certificate import Certificate, Row
from jaxmlp.evidence.network_check.device import verify_device
from jaxmlp.evidence.network_check.verify import verify, verify_all
from jaxmlp.evidence.numpy_check.mutants import mutants
from jaxmlp.inference.model import load_model
from jaxmlp.nn.objective import Objective


@click.command("verify")
@click.argument("model", required=False)
@click.option("--all", "everything", is_flag=True, help="Check every activation × cost × output × depth.")
@click.option("--device", is_flag=True, help="Also count the digits that this device loses in float32.")
@click.option(
    "--mutants",
    "plant_faults",
    is_flag=True,
    help="Instead, test the checkers: count which of them find deliberate faults.",
)
@click.option(
    "--precise", is_flag=True, help="Instead, compare every formula with 50 digits, and count its correct ones."
)
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Seed of the random examples."
)
@json_option
def verify_command(
    model: str | None, everything: bool, device: bool, plant_faults: bool, precise: bool, seed: int, as_json: bool
) -> int:
    """Check every equation against autodiff and central differences, in float64.

    Without MODEL, check every activation and cost, and a set of textbook networks. With MODEL (a run folder or a
    model.h5), check its network with its parameters, layer by layer. If a check fails, the exit status is 1.
    """
    if model is not None and everything:
        raise InputError(sentence("--all", "no MODEL", model, "leave one of the two out"))
    if plant_faults or precise:
        option = "--mutants" if plant_faults else "--precise"
        if model is not None or everything or device or (plant_faults and precise):
            raise InputError(sentence(option, "no other check", "another one", "run them in turn"))
        return _plant_faults(as_json) if plant_faults else verify_digits(as_json)
    net = params = objective = None
    if model is not None:
        trained = load_model(model)
        net, params, objective = trained.net, trained.params, Objective(trained.cost)
    certificates = [verify_all(seed) if everything else verify(net, objective, params=params, seed=seed)]
    if device:
        certificates.append(verify_device(net, params=params, seed=seed))
    if as_json:
        print_json(to_dict(certificates))
    else:
        show(certificates, by_layer=model is not None)
    return 0 if all(certificate.passed for certificate in certificates) else 1


def _plant_faults(as_json: bool) -> int:
    """Plant the faults and print which checkers find them."""
    report = mutants()
    if as_json:
        print_json(report.to_dict())
    else:
        console().print(str(report), soft_wrap=True)
    return 0 if report.passed else 1


def to_dict(certificates: Sequence[Certificate]) -> dict[str, Any]:
    """Return the first certificate, its worst difference from each witness, and the device's under its own name."""
    first = certificates[0]
    result = first.to_dict()
    rows = result.pop("rows")
    result |= {"passed": all(certificate.passed for certificate in certificates)}
    result |= {"worst": {name: worst(first.rows, name) for name in dict.fromkeys(row.witness for row in first.rows)}}
    result |= {"device": certificates[1].to_dict()} if certificates[1:] else {}
    return result | {"rows": rows}


def worst(rows: Iterable[Row], witness: str) -> float | None:
    """Return the largest difference from a witness; None where there is no number."""
    return max((row.difference for row in rows if row.witness == witness and row.difference is not None), default=None)


# --- tables -----------------------------------------------------------------------------------------------------------

_HEADINGS = ("", "checks", "autodiff", "differences", "verdict")
_TEXTS = ("", "verdict")


def show(certificates: Sequence[Certificate], by_layer: bool) -> None:
    """Print a line per equation (and layer, or network), then every row that is not a PASS, then the counts."""
    out, first = console(), certificates[0]
    if by_layer:
        lines = _summaries(first.rows, lambda row: f"{row.check}  {row.where}")
        out.print(columns_table(first.title, _HEADINGS, lines, text_columns=_TEXTS))
    else:
        rows = sorted(first.rows, key=lambda row: row.equation)
        lines = _summaries(rows, lambda row: row.equation)
        out.print(columns_table("every equation at its worst", _HEADINGS, lines, text_columns=_TEXTS))
        out.print(columns_table(first.title, _HEADINGS, _summaries(first.rows, _subject), text_columns=_TEXTS))
    # the certificate of the device compares precisions, not witnesses: its rows stand as they are
    for certificate in certificates[1:]:
        cells = [(row.check, row.where, f"{row.difference:.1e}", row.note, row.verdict) for row in certificate.rows]
        headings = ("", "precision", "difference", "digits", "verdict")
        out.print(columns_table(certificate.title, headings, cells, text_columns=headings))
    # a summary shows the worst verdict of a group; here are the rows behind it
    for row in (row for certificate in certificates for row in certificate.rows if row.verdict != "PASS"):
        cells = (row.verdict, row.check, row.where, row.witness, _scientific(row.difference), row.note)
        out.print("  ".join(filter(None, cells)), soft_wrap=True)
    verdicts = [row.verdict for certificate in certificates for row in certificate.rows]
    counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in ("PASS", *sorted({*verdicts} - {"PASS"})))
    out.print(f"{len(verdicts)} checks: {counts}")


def _subject(row: Row) -> str:
    """Return the network, activation or cost of a row: the text before the first comma or colon."""
    return re.split("[,:]", row.where)[0]


def _summaries(rows: Iterable[Row], key: Callable[[Row], str]) -> list[tuple[str, ...]]:
    """Return a line for each group of rows: its name, count, worst differences and worst verdict."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return [
        (
            name,
            str(len(group)),
            _scientific(worst(group, "autodiff")),
            _scientific(worst(group, "central differences")),
            _worst_verdict(group),
        )
        for name, group in groups.items()
    ]


def _worst_verdict(rows: Sequence[Row]) -> str:
    verdicts = {row.verdict for row in rows}
    return next(verdict for verdict in ("FAIL", "UNSUPPORTED", "UNDECIDED", "PASS") if verdict in verdicts)


def _scientific(difference: float | None) -> str:
    return "" if difference is None else f"{difference:.1e}"
