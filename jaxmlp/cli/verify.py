"""`jaxmlp verify [MODEL]`: the certificate; exit code 1 when a check fails."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import click
from rich.table import Table

from jaxmlp.cli.output import console, json_option, print_json
from jaxmlp.errors import InputError, sentence
from jaxmlp.evidence.certificate import Certificate, Row
from jaxmlp.evidence.proof.device import verify_device
from jaxmlp.evidence.proof.verify import verify as certify
from jaxmlp.evidence.proof.verify import verify_all
from jaxmlp.evidence.student.mutants import mutants
from jaxmlp.model import load_model
from jaxmlp.nn.objective import Objective


@click.command()
@click.argument("model", required=False)
@click.option("--all", "everything", is_flag=True, help="Every activation × cost × output × depth.")
@click.option("--device", is_flag=True, help="Then float32 on the present device: the digits it loses.")
@click.option("--mutants", "planted", is_flag=True, help="Instead: plant faults, and count which checkers find them.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Of what is drawn.")
@json_option
def verify(model: str | None, everything: bool, device: bool, planted: bool, seed: int, as_json: bool) -> int:
    """Check every equation against autodiff and central differences, in float64.

    Without MODEL: every activation and cost, and a set of textbook networks. With MODEL (a run folder or a model.h5):
    its network with its parameters, layer by layer. The exit code is 1 when a check fails.
    """
    if model is not None and everything:
        raise InputError(sentence("--all", "no MODEL", model, "leave one of the two out"))
    if planted:
        if model is not None or everything or device:
            raise InputError(sentence("--mutants", "to stand alone", "another check beside it", "run them in turn"))
        return _mutants(as_json)
    net = params = objective = None
    if model is not None:
        trained = load_model(model)
        net, params, objective = trained.net, trained.params, Objective(trained.cost)
    certificates = [verify_all(seed) if everything else certify(net, objective, params=params, seed=seed)]
    if device:
        certificates.append(verify_device(net, params=params, seed=seed))
    passed = all(certificate.passed for certificate in certificates)
    if as_json:
        print_json(to_dict(certificates))
    else:
        show(certificates, by_layer=model is not None)
    return 0 if passed else 1


def _mutants(as_json: bool) -> int:
    """Plant the faults and print who finds them."""
    report = mutants()
    if as_json:
        print_json(report.to_dict())
    else:
        console().print(str(report), soft_wrap=True)
    return 0 if report.passed else 1


def to_dict(certificates: Sequence[Certificate]) -> dict[str, Any]:
    """The first certificate, the worst difference from each of its witnesses, and the device's under its own name."""
    first = certificates[0]
    answer = first.to_dict()
    rows = answer.pop("rows")
    answer |= {"passed": all(certificate.passed for certificate in certificates)}
    answer |= {"worst": {name: worst(first.rows, name) for name in dict.fromkeys(row.witness for row in first.rows)}}
    answer |= {"device": certificates[1].to_dict()} if certificates[1:] else {}
    return answer | {"rows": rows}


def worst(rows: Iterable[Row], witness: str) -> float | None:
    """The largest difference from a witness; None where it has none."""
    return max((row.difference for row in rows if row.witness == witness and row.difference is not None), default=None)


# --- for people -------------------------------------------------------------------------------------------------------


def show(certificates: Sequence[Certificate], by_layer: bool) -> None:
    """A line per equation and layer, or per equation at its worst and per network; then what is no PASS; the counts."""
    out = console()
    if not by_layer:
        lines = _lines(sorted(certificates[0].rows, key=_name), _name)
        out.print(_table("every equation at its worst", ("", "checks", "autodiff", "differences", "verdict"), lines))
    lines = _lines(certificates[0].rows, _equation if by_layer else _group)
    out.print(_table(certificates[0].title, ("", "checks", "autodiff", "differences", "verdict"), lines))
    for certificate in certificates[1:]:
        cells = [(row.check, row.where, f"{row.difference:.1e}", row.note, row.verdict) for row in certificate.rows]
        out.print(_table(certificate.title, ("", "precision", "difference", "digits", "verdict"), cells))
    for certificate in certificates:
        for row in certificate.rows:
            if row.verdict != "PASS":
                said = (row.verdict, row.check, row.where, row.witness, _shown(row.difference), row.note)
                out.print("  ".join(filter(None, said)), soft_wrap=True)
    total = [row.verdict for certificate in certificates for row in certificate.rows]
    counts = ", ".join(f"{total.count(verdict)} {verdict}" for verdict in ("PASS", *sorted({*total} - {"PASS"})))
    out.print(f"{len(total)} checks: {counts}")


def _table(title: str, headings: Sequence[str], lines: Iterable[Sequence[str]]) -> Table:
    drawn = Table(title=title, title_justify="left", title_style="bold")
    for heading in headings:
        drawn.add_column(heading, justify="right" if heading in ("checks", "autodiff", "differences") else "left")
    for line in lines:
        drawn.add_row(*line)
    return drawn


def _equation(row: Row) -> str:
    return f"{row.check}  {row.where}"


def _name(row: Row) -> str:
    """The equation or question without its layer: "BP2 dZ_2" and "BP2 dZ_1" are one."""
    return row.check.partition("_")[0]


def _group(row: Row) -> str:
    """The network, activation or cost that a row belongs to: what stands before the first comma or colon."""
    return re.split("[,:]", row.where)[0]


def _lines(rows: Iterable[Row], key: Any) -> list[tuple[str, ...]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return [
        (
            name,
            str(len(group)),
            _shown(worst(group, "autodiff")),
            _shown(worst(group, "central differences")),
            _verdict(group),
        )
        for name, group in groups.items()
    ]


def _verdict(rows: Sequence[Row]) -> str:
    """The gravest of a group."""
    found = {row.verdict for row in rows}
    return next(verdict for verdict in ("FAIL", "UNSUPPORTED", "UNDECIDED", "PASS") if verdict in found)


def _shown(difference: float | None) -> str:
    return "" if difference is None else f"{difference:.1e}"
