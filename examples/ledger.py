"""The ledger of the course: run every lesson, read what it asserts, and write the tables of examples/README.md.

    python examples/ledger.py [--fast] [--pictures] [--check] [--only NN,NN]

Each item of the five tutorials is a row: the claim in our words, the verdict, the number that the lesson measured, and
the lesson that proves it. An item without a proof is an error. `--pictures` draws the pictures of the lessons again;
`--check` writes nothing, and fails where the page does not say what the lessons assert (numbers may differ from machine
to machine).
"""

import argparse
import re
import runpy
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

EXAMPLES = Path(__file__).resolve().parent
PAGE = EXAMPLES / "README.md"
LESSONS = sorted((EXAMPLES / "lessons").glob("[0-9][0-9]_*.py"))
COUNTS = {"0": 25, "1": 36, "2": 32, "3": 13, "4": 36, "5": 9}  # items of S0 … S4, and of several tutorials at once
N_ERRATA = 50
ITEMS = [f"{s}.{i}" for s, n in COUNTS.items() for i in range(1, n + 1)] + [f"E{i}" for i in range(1, N_ERRATA + 1)]
SOURCES = {
    "5.1": "all", "5.2": "S4", "5.3": "S1, S4", "5.4": "S4", "5.5": "S1", "5.6": "S1", "5.7": "S0", "5.8": "S0, S3",
    "5.9": "S3", "E1": "S3, S4", "E2": "S4", "E3": "S3", "E4": "S4", "E5": "S4", "E6": "S2", "E7": "S4", "E8": "S3",
    "E9": "S4", "E10": "S4", "E11": "S4", "E12": "S0, S2, S4", "E13": "S0", "E14": "S1", "E15": "S0", "E16": "S1",
    "E17": "S1", "E18": "S2", "E19": "S2", "E20": "S4", "E21": "S4", "E22": "S1, S3", "E23": "S4", "E24": "S4",
    "E25": "S1", "E26": "S1", "E27": "S2", "E28": "S4", "E29": "S1", "E30": "S1", "E31": "S0, S1, S4", "E32": "S2",
    "E33": "S2", "E34": "S2", "E35": "S2", "E36": "S2", "E37": "S4", "E38": "S4", "E39": "S4", "E40": "S4", "E41": "S4",
    "E42": "S0", "E43": "S3", "E44": "S3", "E45": "S1", "E46": "S1", "E47": "S1", "E48": "S0", "E49": "S2", "E50": "S4",
}  # fmt: skip


class Row(NamedTuple):
    """A row of the ledger: an item with what the first lesson said of it, and all lessons that prove it."""

    item: str
    verdict: str
    statement: str
    number: str
    lessons: tuple[str, ...]


def run_lesson(lesson: Path, *options: str) -> list[Any]:
    """Run a lesson in this process and return its claims."""
    for folder in (EXAMPLES / "lessons", EXAMPLES.parent):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    import course  # of the lessons' folder

    course.CLAIMS.clear()
    arguments, sys.argv = sys.argv, [str(lesson), *options]
    try:
        runpy.run_path(str(lesson), run_name="lesson")
    finally:
        sys.argv = arguments
    return list(course.CLAIMS)


def rows_of(claims: dict[str, Sequence[Any]]) -> list[Row]:
    """Return a row per item, in order, from the claims of each lesson.

    Raises:
      SystemExit: for a claim of an unknown item.
    """
    by_item: dict[str, list[tuple[str, Any]]] = defaultdict(list)
    for lesson, of_lesson in claims.items():
        for claim in of_lesson:
            if claim.item not in ITEMS:
                raise SystemExit(f"{lesson} claims an unknown item {claim.item!r}")
            by_item[claim.item].append((lesson, claim))
    rows = []
    for item in ITEMS:
        if item in by_item:
            claim = by_item[item][0][1]
            lessons = tuple(dict.fromkeys(lesson for lesson, _ in by_item[item]))
            rows.append(Row(claim.item, claim.verdict, claim.statement, claim.number, lessons))
    return rows


def missing(rows: Iterable[Row]) -> list[str]:
    """Return the items that no lesson proves."""
    return [item for item in ITEMS if item not in {row.item for row in rows}]


def planted() -> set[str]:
    """Return the errata that `jaxmlp verify --mutants` plants."""
    from jaxmlp.evidence.numpy_check.common_mistakes import MISTAKES

    return {mistake.erratum for mistake in MISTAKES if mistake.erratum}


def ledger_table(rows: Iterable[Row]) -> str:
    """Return the ledger as Markdown."""
    errata, lines = planted(), ["| item | source | claim | verdict | measured | proof |", "|---|---|---|---|---|---|"]
    for row in rows:
        source = SOURCES.get(row.item) or f"S{row.item[0]}"
        proof = ", ".join(f"[{lesson[:2]}](lessons/{lesson})" for lesson in row.lessons)
        proof += ", `verify --mutants`" if row.item in errata else ""
        cells = (row.item, source, row.statement, row.verdict, row.number, proof)
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(lines)


def contents_table() -> str:
    """Return the lessons in reading order, with their first pictures."""
    lines = ["| | lesson | |", "|---|---|---|"]
    for lesson in LESSONS:
        text = lesson.read_text(encoding="utf-8")
        number, title = re.match(r'"""(\d+)\. (.*)', text).groups()  # pyright: ignore[reportOptionalMemberAccess]
        name, _, rest = title.partition(":" if ":" in title else "?")
        picture = re.search(r'picture\("([\w.]+)"', text)
        image = f"![{name}](pictures/{picture[1]})" if picture and (EXAMPLES / "pictures" / picture[1]).exists() else ""
        lines.append(f"| {number} | [{name}](lessons/{lesson.name}):{rest} | {image} |")
    return "\n".join(lines)


def between(page: str, marker: str, text: str) -> str:
    """Return the page with the text between the two comments of a marker."""
    pattern = rf"(<!-- {marker}.*?-->\n).*?(<!-- /{marker} -->)"
    return re.sub(pattern, lambda match: f"{match[1]}{text}\n{match[2]}", page, flags=re.DOTALL)


def stated(page: str) -> dict[str, tuple[str, str, str]]:
    """Return claim, verdict and proof of each item as the page has them."""
    rows = re.findall(r"^\| (\d\.\d+|E\d+) \|(.*)\|$", page, flags=re.MULTILINE)
    cells = {item: [cell.strip() for cell in re.split(r"(?<!\\)\|", rest)] for item, rest in rows}
    return {item: (row[1].replace("\\|", "|"), row[2].replace("\\|", "|"), row[4]) for item, row in cells.items()}


def differences(claims: dict[str, Sequence[Any]], page: str) -> list[str]:
    """Return what the page says otherwise than these lessons: rows missing, other words, another verdict or proof."""
    on_page, wrong = stated(page), []
    for lesson, of_lesson in claims.items():
        for claim in of_lesson:
            statement, verdict, proof = on_page.get(claim.item, ("", "", ""))
            if lesson not in proof:
                wrong.append(f"{claim.item}: the ledger does not name {lesson}")
            elif proof.startswith(f"[{lesson[:2]}]") and (statement, verdict) != (claim.statement, claim.verdict):
                wrong.append(
                    f"{claim.item}: the ledger says {verdict!r}, {lesson} {claim.verdict!r}: {claim.statement}"
                )
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fast", action="store_true", help="run the lessons with --fast")
    parser.add_argument("--pictures", action="store_true", help="draw the pictures again")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the page says otherwise")
    parser.add_argument("--only", metavar="NN,NN", help="some lessons; with --check")
    given = parser.parse_args()
    options = [f"--{name}" for name in ("fast", "pictures") if getattr(given, name)]
    chosen = [lesson for lesson in LESSONS if not given.only or lesson.name[:2] in given.only.split(",")]
    if len(chosen) < len(LESSONS) and not given.check:
        parser.error("--only needs --check: a ledger is written from all lessons")
    claims, seconds = {}, {}
    for lesson in chosen:
        print(f"\n== {lesson.name}", flush=True)
        began = time.perf_counter()
        claims[lesson.name] = run_lesson(lesson, *options)
        seconds[lesson.name] = time.perf_counter() - began
    print(
        f"\n{sum(seconds.values()):.0f} s: " + ", ".join(f"{name[:2]} {s:.0f}" for name, s in seconds.items()),
        flush=True,
    )
    rows, page = rows_of(claims), PAGE.read_text(encoding="utf-8")
    if given.check:
        wrong = differences(claims, page) + [f"{item} has no row" for item in ITEMS if item not in stated(page)]
        sys.exit("\n".join(wrong) or 0)
    if lost := missing(rows):
        sys.exit(f"no lesson proves {', '.join(lost)}")
    verdicts = [row.verdict.split()[0] for row in rows]
    summary = f"{len(rows)} items: {verdicts.count('TRUE')} TRUE or TRUE IF, {verdicts.count('WRONG')} WRONG."
    for marker, text in (("contents", contents_table()), ("ledger", f"{summary}\n\n{ledger_table(rows)}")):
        page = between(page, marker, text)
    PAGE.write_text(page, encoding="utf-8")
    print(f"\nwrote {PAGE.name}: {summary}")


if __name__ == "__main__":
    main()
