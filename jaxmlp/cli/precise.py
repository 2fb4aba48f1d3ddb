"""The table of `jaxmlp verify --precise`: units in the last place of every formula, float64 beside float32."""

from jaxmlp.cli.output import columns_table, console, print_json
from jaxmlp.evidence.precise_check.precise import MAX_ULPS, DigitsRow, verify_precise

EXPLANATION = (
    "δ = a - y counts units of δ, the rows a - y those of the larger of a and y. Once a has rounded to y = 1, δ is 0 "
    "where it should be -σ(-z): less than the last digit of a, but all digits of δ."
)


def verify_digits(as_json: bool) -> int:
    """Print the report and return the exit status: 1 when a g', or a - y beside a and y, has lost digits."""
    report = verify_precise()
    if as_json:
        print_json(report.to_dict())
        return 0 if report.passed else 1
    pairs: dict[tuple[str, str], list[DigitsRow]] = {}
    for row in report.rows:
        pairs.setdefault((row.where, row.quantity), []).append(row)
    lines = []
    for (where, quantity), rows in pairs.items():
        cells = [cell for row in rows for cell in (f"{row.ulps:.3g}", f"{row.z:.5g}" if row.ulps else "")]
        lines.append((where, quantity, *cells, _verdict(rows)))
    title = "units in the last place, at most, against 50 digits"
    headings = ("", "quantity", "float64", "at z", "float32", "at z", "verdict")
    out = console()
    out.print(columns_table(title, headings, lines, text_columns=("", "quantity", "verdict")))
    failures = sum(not row.passed for row in report.rows)
    bounded = sum(row.bound is not None for row in report.rows)
    out.print(f"{len(report.rows)} rows; g' and a - y within {MAX_ULPS:g} ulps: {bounded - failures} of {bounded}")
    out.print(EXPLANATION)
    if report.without_reference:
        out.print(f"without a reference in 50 digits: {', '.join(report.without_reference)}")
    return 0 if report.passed else 1


def _verdict(rows: list[DigitsRow]) -> str:
    if all(row.bound is None for row in rows):
        return ""
    return "PASS" if all(row.passed for row in rows) else "FAIL"
