"""A table as the network's input: the numbers, the places of categories, and that training rows alone decide."""

# preprocessing is that of numbers here, not an encoder of columns
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false

import datetime as dt
import json

import numpy as np
import pytest

from jaxmlp.errors import InputError, InputTypeError
from jaxmlp.tabular import Table, TableEncoder, TableOptions, as_table
from jaxmlp.tabular.blocks import MAX_BINS, CategoryBlock, DateBlock, NumberBlock, PiecewiseBlock
from jaxmlp.tabular.roles import assign_roles, infer_role

PEOPLE = {
    "age": [20.0, 30.0, None, 40.0],
    "city": ["Rome", "Oslo", "Rome", "Oslo"],
    "smoker": ["yes", "no", "no", ""],
    "seen": ["2024-01-31", "2024-02-29", "2024-01-31", "2023-01-31"],
}


def test_every_role_becomes_its_columns():
    encoder = TableEncoder.fit(PEOPLE)
    assert [(column.name, column.role) for column in encoder.columns] == [
        ("age", "number"),
        ("city", "category"),
        ("smoker", "yes/no"),
        ("seen", "date"),
    ]
    assert encoder.input_names == (
        *("age", "age is missing", "city=Oslo", "city=Rome", "smoker", "smoker is missing"),
        *("seen year", "seen month", "seen day", "seen weekday"),
    )
    X = encoder.encode(PEOPLE, np.float64)
    np.testing.assert_allclose(X[:, 0], np.array([-10, 0, 0, 10]) / np.std([20, 30, 40]))
    np.testing.assert_array_equal(X[:, 1], [0, 0, 1, 0])
    np.testing.assert_array_equal(X[:, 2:4], [[0, 1], [1, 0], [0, 1], [1, 0]])
    np.testing.assert_allclose(X[:, 4], [1, 0, 0, 1 / 3])
    np.testing.assert_array_equal(X[:, 5], [0, 0, 0, 1])
    years = np.array([2024, 2024, 2024, 2023])
    np.testing.assert_allclose(X[:, 6], (years - years.mean()) / years.std())
    weekdays = np.array([2, 3, 2, 1])  # a Wednesday, a Thursday, a Wednesday, a Tuesday
    np.testing.assert_allclose(X[:, 9], (weekdays - weekdays.mean()) / weekdays.std())


def test_columns_are_found_by_name_in_any_order():
    encoder = TableEncoder.fit(PEOPLE)
    turned = dict(reversed(PEOPLE.items())) | {"other": [1, 2, 3, 4]}
    np.testing.assert_array_equal(encoder.encode(turned), encoder.encode(PEOPLE))


def test_the_text_of_an_encoder_is_the_encoder():
    for numbers in ("standard", "robust", "quantile", "piecewise", "robust_piecewise", "none"):
        encoder = TableEncoder.fit(PEOPLE, numbers=numbers)
        text = encoder.to_json()
        json.loads(text)
        again = TableEncoder.from_json(text)
        np.testing.assert_array_equal(again.encode(PEOPLE), encoder.encode(PEOPLE))
        assert (again.to_json(), again.roles, again.input_names) == (text, encoder.roles, encoder.input_names)


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"version": 1, "numbers": "standard", "columns": [1], "roles": []}']
)
def test_a_damaged_text_is_refused_in_one_sentence(text):
    with pytest.raises(InputError, match=r"the table encoder expects the text that to_json wrote, got a damaged text"):
        TableEncoder.from_json(text)


def test_unknown_words_go_to_the_place_of_rare_ones_and_gaps_to_their_own():
    codes = np.array([0.0, 0, 1, 1, 2, np.nan])
    block = CategoryBlock.fit(codes, 3)
    assert (block.width, block.other, block.missing) == (4, 2, 3)
    np.testing.assert_array_equal(block(np.array([2.0, -1, np.nan])), [[0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    plain = CategoryBlock.fit(np.array([0.0, 0, 1, 1]), 3)
    np.testing.assert_array_equal(plain(np.array([1.0, 2, -1, np.nan])), [[0, 1], [0, 0], [0, 0], [0, 0]])


def test_robust_scaling_is_bounded_by_three():
    x = np.array([0.0, 1, 2, 3, 4, 1000])
    block = NumberBlock.fit(x, "robust")
    z = (x - 2.5) / (3.75 - 1.25)
    np.testing.assert_allclose(block(x)[:, 0], z / np.sqrt(1 + (z / 3) ** 2))
    assert block(x).max() < 3
    assert NumberBlock.fit(np.array([0.0, 0, 0, 0, 0, 8]), "robust").scale == 4
    assert NumberBlock.fit(np.array([5.0, 5]), "robust").scale == 1


def test_quantile_scaling_follows_the_ranks():
    x = np.exp(np.random.default_rng(0).normal(size=999))
    z = NumberBlock.fit(x, "quantile")(x)[:, 0]
    assert (np.diff(z[np.argsort(x)]) >= 0).all()
    assert np.sort(z)[499] == pytest.approx(0, abs=1e-12)
    assert np.quantile(z, 0.8413) == pytest.approx(1, abs=0.01)
    block = NumberBlock.fit(np.array([1.0, 1, 1, 2]), "quantile")
    assert block([0.0, 9.0])[:, 0].tolist() == pytest.approx([block([1.0])[0, 0], block([2.0])[0, 0]])


def test_a_piecewise_encoding_is_linear_in_each_bin():
    x = np.random.default_rng(0).exponential(size=MAX_BINS**2)
    block = PiecewiseBlock.fit(x)
    edges = np.array(block.edges)
    np.testing.assert_allclose(np.histogram(x, edges)[0], MAX_BINS, atol=1)  # as many rows in each bin
    z = block(edges)
    assert z.shape == (MAX_BINS + 1, MAX_BINS)
    np.testing.assert_allclose(z, np.where(np.tri(MAX_BINS + 1, MAX_BINS, -1), 1, -1) / MAX_BINS**0.25)
    np.testing.assert_allclose(block((edges[:-1] + edges[1:]) / 2), (z[:-1] + z[1:]) / 2, atol=1e-12)
    np.testing.assert_array_equal(block([-1.0, edges[-1] + 9]), z[[0, -1]])
    # a sum of the columns is any function that is linear between the edges
    target = np.interp(x, edges, np.sin(9 * edges))
    X = np.column_stack([block(x), np.ones(len(x))])
    np.testing.assert_allclose(X @ np.linalg.lstsq(X, target)[0], target, atol=1e-9)


def test_a_frequent_number_is_an_edge_and_the_others_share_the_bins():
    rare = np.random.default_rng(0).uniform(1, 2, 200)
    gains = np.concatenate([np.zeros(1900), rare, np.full(300, 1.5)])
    edges = np.array(PiecewiseBlock.fit(gains).edges)
    assert len(edges) == 48 + 1  # ⌊√2400⌋ bins
    assert {0.0, 1.5, rare.max()} <= {*edges}
    np.testing.assert_array_less(np.histogram(rare, edges)[0], 10)  # a bin of quantiles would hold all of them
    assert PiecewiseBlock.fit(np.repeat([3.0, 1, 2], 50)).edges == (1, 2, 3)


def test_a_piecewise_column_may_have_gaps_or_one_number_only():
    block = PiecewiseBlock.fit(np.array([1.0, np.nan, 3, 5, 7, 9]))
    assert (block.fill, block.width, block.names("x")) == (5, 3, ["x from 1 to 5", "x from 5 to 9", "x is missing"])
    np.testing.assert_allclose(block([np.nan, 5.0]), [[0.5**0.25, -(0.5**0.25), 1], [0.5**0.25, -(0.5**0.25), 0]])
    for number in (4.0, -1e300):
        block = PiecewiseBlock.fit(np.full(9, number))
        assert (block.width, block([number]).tolist()) == (1, [[-1.0]])
    assert PiecewiseBlock.fit(np.full(3, np.nan)).width == 2


def test_a_number_stands_beside_its_bins():
    x = np.array([0.0, 2.0, 6.0, 7.0, 8.0, np.nan])
    both, bins = PiecewiseBlock.fit(x, with_number=True), PiecewiseBlock.fit(x)
    assert both.names("x") == ["x from 0 to 6", "x from 6 to 8", "x", "x is missing"]
    columns = both([2.0, 17.0, np.nan])
    np.testing.assert_array_equal(columns[:, [0, 1, 3]], bins([2.0, 17.0, np.nan]))
    z = np.array([-0.8, 2.2, 0])  # median 6, quartiles 2 and 7
    np.testing.assert_allclose(columns[:, 2], z / np.sqrt(1 + (z / 3) ** 2))
    assert PiecewiseBlock.fit(np.full(3, np.nan), with_number=True)([1.0, np.nan]).shape == (2, 3)


def test_only_a_piecewise_encoder_is_of_a_newer_version():
    numbers = ("auto", "piecewise", "robust_piecewise")
    assert [json.loads(TableEncoder.fit(PEOPLE, numbers=n).to_json())["version"] for n in numbers] == [1, 2, 4]
    columns = json.loads(TableEncoder.fit(PEOPLE, numbers="piecewise").to_json())["columns"]
    assert all("number" not in (column["block"] or {}) for column in columns)  # older releases know no such field
    assert json.loads(TableEncoder.fit(PEOPLE, missing="20").to_json())["version"] == 3


def test_a_date_whose_parts_do_not_vary_gives_no_columns():
    assert DateBlock.fit(np.array([0.0, 0.0])).width == 0


def test_training_rows_alone_decide():
    encoder = TableEncoder.of_table({"x": [1.0, 3.0, 100.0], "city": ["a", "a", "b"]})
    rows = encoder.rows({"x": [1.0, 3.0, 100.0], "city": ["a", "a", "b"]})
    fitted = encoder.fit_to(rows[:2])
    assert fitted.input_names == ("x", "city=a")
    np.testing.assert_array_equal(fitted(rows)[:, 0], [-1, 1, 98])
    assert fitted.unknown_values(np.array([[np.nan, -1]])) == [
        "'x': 1 missing, and none in the training",
        "'city': 1 with a value that did not occur in the training",
    ]


@pytest.mark.parametrize(
    ("cells", "role"),
    [
        (["1", "2.5", "NA"], "number"),
        (["007", "008", "009"], "number"),
        (["a", "b", "a"], "category"),
        (["TRUE", "FALSE", "TRUE"], "yes/no"),
        (["2024-05-31 10:00:00", "2024-06-30 11:30:00", ""], "date"),
        (["01/02/2024", "02/03/2024", "03/04/2024"], "text"),
        (["same"] * 3, "constant"),
        (["same", "", "same"], "category"),
        (["", "?", ""], "constant"),
        ([f"name {i}" for i in range(30)], "text"),
        ([f"n{i}" for i in range(30)], "identifier"),
        ([f"v{i % 15}" for i in range(30)], "category"),
        (["word " * 20 + str(i % 25) for i in range(60)], "text"),
    ],
)
def test_roles_of_text(cells, role):
    assert infer_role("x", Table("t", ("x",), (cells,))).role == role


@pytest.mark.parametrize(
    ("name", "values", "role"),
    [
        ("id", range(30), "identifier"),
        ("customer_id", range(30), "identifier"),
        ("PassengerId", range(30), "identifier"),
        ("Unnamed: 0", range(30), "identifier"),
        ("paid", range(30), "number"),
        ("humidity", range(30), "number"),
        ("id", [i % 10 for i in range(30)], "number"),
        ("id", [i + 0.5 for i in range(30)], "number"),
        ("id", range(5), "number"),
        ("x", [1.0, 1.0], "constant"),
        ("x", [np.nan, np.nan], "constant"),
    ],
)
def test_roles_of_numbers(name, values, role):
    assert infer_role(name, as_table({name: list(values)})).role == role


def test_a_user_overrules_a_role():
    table = as_table({"id": list(range(30)), "zip": list(range(30)), "note": [f"text {i}" for i in range(30)]})
    roles = {r.name: r.role for r in assign_roles(table, keep=["id", "note"], roles=[("zip", "category")])}
    assert roles == {"id": "number", "zip": "category", "note": "category"}
    roles = {r.name: r.role for r in assign_roles(table, features=["zip"])}
    assert roles == {"id": "ignored", "zip": "number", "note": "ignored"}
    with pytest.raises(InputError, match=r"expects names of its columns id, zip, note, got 'a', 'b': check the names"):
        assign_roles(table, drop=["a"], keep=["b"])
    with pytest.raises(
        InputError, match=r"role of a column expects one of number, category, yes/no, date, got 'numbr'"
    ):
        TableOptions(roles={"zip": "numbr"})


def test_all_problems_of_a_table_in_one_sentence():
    train = {"age": [1.0, 2.0, 3.0], "smoker": ["yes", "no", "yes"], "seen": ["2024-01-01", "2024-01-02", "2024-01-03"]}
    encoder = TableEncoder.fit(train)
    with pytest.raises(InputTypeError) as error:
        encoder.rows(
            {"age": ["1", "old", "older"], "smoker": ["yes", "maybe", "no"], "seen": ["soon", "", "2024-01-01"]}
        )
    assert str(error.value) == (
        "the table expects cells like those of the training, got 'old' in column 'age', row 1 (2 such cells), "
        "a number; "
        "'maybe' in column 'smoker', row 1, a yes/no; 'soon' in column 'seen', row 0, a date: "
        "correct these cells, or empty them"
    )
    with pytest.raises(InputError, match=r"the feature columns age, smoker, seen, got seen, old: add age, smoker"):
        encoder.rows({"seen": ["2024-01-01"], "old": [1]})
    with pytest.raises(InputError, match=r"add age \(is 'years' the new name of 'age'\?\)"):
        encoder.rows({"seen": ["2024-01-01"], "years": [1], "smoker": ["no"]})


def test_a_typing_error_among_numbers_is_no_category():
    with pytest.raises(InputTypeError, match=r"got 'tall' in column 'x', row 1; 'wide' in column 'y', row 2"):
        TableEncoder.fit({"x": ["1", "tall", "3"], "y": ["1", "2", "wide"]})
    fitted = TableEncoder.fit({"x": ["1", "tall", "3"]}, missing=["tall"])
    assert fitted.input_names == ("x", "x is missing")


def test_whole_numbers_and_floats_are_the_same_category():
    encoder = TableEncoder.fit({"deck": [1, 2, 1, 2], "y": [1.5, 2, 3, 4]}, roles={"deck": "category"})
    expected = encoder.encode({"deck": [2, 1], "y": [1, 1]})
    for cells in ([2.0, 1.0], ["2", "1"], ["2.0", "1.0"], np.array([2, 1])):
        np.testing.assert_array_equal(encoder.encode({"deck": cells, "y": [1, 1]}), expected)


def test_the_same_dates_in_another_form():
    encoder = TableEncoder.fit({"seen": ["31.01.2024", "29.02.2024"]})
    expected = encoder.encode({"seen": ["31.01.2024"]})
    for cells in (["2024-01-31"], np.array(["2024-01-31"], "datetime64[D]")):
        np.testing.assert_array_equal(encoder.encode({"seen": cells}), expected)


def test_columns_that_are_no_table():
    for source, text in (
        ({}, "the table expects at least one column, got none"),
        ({"a": [1, 2], "b": [1]}, "the table expects columns of equal length, got 1 to 2 cells"),
        ({"a": [[1], [2]]}, "column 'a' expects one cell for each row, got shape (2, 1): give it one dimension"),
        ({"a": np.array([1j])}, "column 'a' expects numbers, text or dates, got dtype complex128"),
        ([[1, 2]], "the table expects named columns, got list"),
    ):
        with pytest.raises(InputError) as error:
            as_table(source)
        assert str(error.value).startswith(text)


def test_frames_of_pandas_keep_their_types():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "a": pandas.array([1, None], dtype="Int64"),
            "b": pandas.Categorical([1, 2]),
            "c": ["x ", None],
            "d": pandas.to_datetime(["2024-01-31", None]),
            "e": [True, False],
            "f": pandas.array([True, None], dtype="boolean"),
        }
    )
    table = as_table(frame)
    np.testing.assert_array_equal(table.column("a"), [1, np.nan])
    assert (table.column("b"), table.categories, table.column("c")) == (["1", "2"], {"b"}, ["x", ""])
    assert np.asarray(table.column("d")).dtype.kind == "M"
    assert np.asarray(table.column("e")).dtype == bool
    np.testing.assert_array_equal(table.column("f"), [1, np.nan])


def test_moments_of_every_kind_are_seconds_in_utc():
    pandas = pytest.importorskip("pandas")
    zone = dt.timezone(dt.timedelta(hours=2))
    frame = pandas.DataFrame(
        {
            "zone": pandas.to_datetime(["2024-02-01 02:00", None]).tz_localize("Etc/GMT-2"),
            "mixed": pandas.Series([dt.datetime(2024, 2, 1, 2, tzinfo=zone), dt.datetime(2024, 2, 1)], dtype=object),
            "month": pandas.period_range("2024-02", periods=2, freq="M"),
        }
    )
    for name in frame:
        cells = np.asarray(as_table(frame).column(str(name)))
        assert (cells.dtype.kind, cells[0]) == ("M", np.datetime64("2024-02-01"))


def test_tables_of_every_container_are_found_by_name():
    pyarrow = pytest.importorskip("pyarrow")
    sources = [
        [{"a": 1, "b": "x"}, {"b": "y", "a": 2}],
        np.array([(1, "x"), (2, "y")], dtype=[("a", "i4"), ("b", "U1")]),
        pyarrow.table({"a": [1, 2], "b": ["x", "y"]}),
        pyarrow.record_batch({"a": [1, 2], "b": ["x", "y"]}),
    ]
    for source in sources:
        table = as_table(source)
        assert (table.names, list(table.column("a")), table.column("b")) == (("a", "b"), [1, 2], ["x", "y"])
    assert as_table({"a": 1, "b": "x"}).column("b") == ["x"]  # one row
    gaps = as_table([{"a": 1}, {"b": True}])
    np.testing.assert_array_equal(gaps.column("a"), [1, np.nan])
    masked = as_table({"a": np.ma.masked_array([1, 2], mask=[False, True])})
    np.testing.assert_array_equal(masked.column("a"), [1, np.nan])
    polars = pytest.importorskip("polars")
    with pytest.raises(InputTypeError, match="a frame in memory, got a LazyFrame: give the result of its collect"):
        as_table(polars.LazyFrame({"a": [1]}))


def test_numbers_in_the_text_of_a_frame_are_numbers():
    table = as_table({"price": ["$1,234.50", "$7"], "part": ["12 %", ""], "name": ["a", "5"]})
    np.testing.assert_array_equal(TableEncoder.of_table(table).rows(table)[:, :2], [[1234.5, 12], [7, np.nan]])


def test_frames_of_polars():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"a": [1, None], "b": ["x", None], "c": [True, False]})
    table = as_table(frame)
    np.testing.assert_array_equal(table.column("a"), [1, np.nan])
    assert table.column("b") == ["x", ""]
    assert list(table.column("c")) == [True, False]


def test_auto_scaling_is_that_of_quantiles_where_ranks_say_something():
    spread = np.arange(1000.0)
    assert NumberBlock.fit(spread, "auto") == NumberBlock.fit(spread, "quantile")
    assert NumberBlock.fit(spread[1:], "auto") == NumberBlock.fit(spread[1:], "standard")  # too few
    rare = np.where(spread < 501, 0.0, spread)  # more than half of them are 0
    assert NumberBlock.fit(rare, "auto") == NumberBlock.fit(rare, "standard")
