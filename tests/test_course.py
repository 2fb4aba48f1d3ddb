"""The course: every lesson runs, and the ledger has a row with a proof for every item of the tutorials."""

import importlib
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import jax
import pytest
from marks import slow_except
from script_modules import load_script

EXAMPLES = Path(__file__).parent.parent / "examples"
PAGE = EXAMPLES / "README.md"
QUICK = (
    "04_by_hand.py",
    "24_broadcasting.py",
    "33_example_gradients.py",
    "36_sources.py",
)


@pytest.fixture(scope="module")
def ledger():
    """The module examples/ledger.py."""
    return load_script(EXAMPLES / "ledger.py")


@pytest.fixture(autouse=True)
def as_a_user():
    """The promotion of dtypes and ranks that users have; lessons compute in float64."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def lesson_files():
    return sorted(path.name for path in (EXAMPLES / "lessons").glob("[0-9]*.py"))


@pytest.mark.parametrize("name", slow_except(lesson_files(), *QUICK))
def test_a_lesson_asserts_what_the_ledger_says(ledger: ModuleType, name: str):
    claims = ledger.run_lesson(EXAMPLES / "lessons" / name, "--fast")
    assert ledger.differences({name: claims}, PAGE.read_text(encoding="utf-8")) == []


def test_every_item_has_a_verdict_a_number_and_a_proof(ledger: ModuleType):
    page = PAGE.read_text(encoding="utf-8")
    rows = ledger.stated(page)
    assert [*rows] == ledger.ITEMS
    assert len(rows) == 201
    for item, (statement, verdict, proof) in rows.items():
        assert statement, item
        assert re.fullmatch(r"TRUE|TRUE IF \S.*|WRONG → \S.*", verdict), item
        lessons = re.findall(r"\[(\d\d)\]\(lessons/([\w.]+)\)", proof)
        assert lessons, item
        for number, name in lessons:
            assert name.startswith(number)
            assert (EXAMPLES / "lessons" / name).exists()
    numbers = re.findall(
        r"^\| (?:\d\.\d+|E\d+) \|(?:[^|]|\\\|)*\|(?:[^|]|\\\|)*\|(?:[^|]|\\\|)*\| (.*?) \| \[", page, flags=re.M
    )
    assert len(numbers) == 201
    assert all(numbers)


def test_every_claim_of_a_lesson_is_in_the_ledger(ledger: ModuleType):
    """Without running anything: the items that the lessons name, and the lessons that the rows name."""
    rows, named = ledger.stated(PAGE.read_text(encoding="utf-8")), {}
    for name in lesson_files():
        text = (EXAMPLES / "lessons" / name).read_text(encoding="utf-8")
        for item in re.findall(r'claim\(\s*"((?:\d\.\d+|E\d+))"', text):
            named.setdefault(item, []).append(name)
    for item, (_, _, proof) in rows.items():
        assert sorted(set(named[item])) == sorted(re.findall(r"\(lessons/([\w.]+)\)", proof)), item


def test_the_contents_are_those_of_the_lessons(ledger: ModuleType):
    page = PAGE.read_text(encoding="utf-8")
    assert ledger.contents_table() in page
    for picture in re.findall(r"\(pictures/([\w.]+)\)", page):
        assert (EXAMPLES / "pictures" / picture).exists()


def test_the_errata_of_the_mutants_are_in_the_ledger(ledger: ModuleType):
    rows = ledger.stated(PAGE.read_text(encoding="utf-8"))
    assert {"E1", "E3", "E20"} <= ledger.planted()
    for erratum in ledger.planted():
        assert "`verify --mutants`" in rows[erratum][2]


def test_a_row_that_is_missing_or_says_otherwise_is_noticed(ledger: ModuleType):
    page = PAGE.read_text(encoding="utf-8")
    statement, verdict, proof = ledger.stated(page)["E5"]
    lesson = re.findall(r"\(lessons/([\w.]+)\)", proof)[0]
    claim = ledger.Row("E5", verdict, statement, "", ())
    assert ledger.differences({lesson: [claim]}, page) == []
    assert "the ledger says" in ledger.differences({lesson: [claim._replace(verdict="TRUE")]}, page)[0]
    assert "does not name" in ledger.differences({lesson: [claim]}, page.replace("| E5 |", "| E555 |"))[0]
    assert ledger.missing([claim]) == [item for item in ledger.ITEMS if item != "E5"]


def test_a_claim_that_is_false_ends_the_lesson(ledger: ModuleType, tmp_path: Path, monkeypatch):
    lesson = tmp_path / "99_false.py"
    lesson.write_text(
        'from course import TRUE, claim\n\nclaim("0.1", TRUE, "Two is three", "2", 2 == 3)\n', encoding="utf-8"
    )
    monkeypatch.syspath_prepend(str(EXAMPLES / "lessons"))
    with pytest.raises(AssertionError, match=r"0\.1: Two is three: measured 2"):
        ledger.run_lesson(lesson)


def test_the_chinese_page_has_the_same_links_and_commands():
    chinese = (EXAMPLES / "README.zh.md").read_text(encoding="utf-8")
    english = PAGE.read_text(encoding="utf-8")
    lessons = set(re.findall(r"\(lessons/([\w.]+)\)", english))
    assert set(re.findall(r"\(lessons/([\w.]+)\)", chinese)) == lessons == set(lesson_files())
    commands = re.findall(r"```sh\n(.*?)```", english, flags=re.DOTALL)[0]
    for line in commands.splitlines():
        assert line.partition("#")[0].strip() in chinese
    assert len(re.findall(r"[\u4e00-\u9fff]", chinese)) > 1000


def test_the_cat_files_have_the_names_of_the_course_or_of_the_tutorial(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(EXAMPLES / "lessons"))
    program = importlib.import_module("cat_program")
    program.write_stand_ins(tmp_path)
    assert "for the course's cats set JAXMLP_DATA" in capsys.readouterr().out
    images, *_ = program.loadData(tmp_path)
    for name in ("train", "test"):
        (tmp_path / f"{name}_catvnoncat.h5").rename(tmp_path / f"{name}.h5")
    assert (program.loadData(tmp_path)[0] == images).all()


@pytest.mark.slow
def test_both_pages_say_where_the_cats_are():
    for name in ("README.md", "README.zh.md"):
        assert "JAXMLP_DATA=$HOME/data python examples/lessons/26_cats.py" in (EXAMPLES / name).read_text("utf-8")
