"""Parquet: with either library the columns of the file, and no more memory than is allowed."""

import numpy as np
import pytest

from jaxmlp.data import load
from jaxmlp.data.readers import parquet as reader
from jaxmlp.errors import InputError

pandas = pytest.importorskip("pandas")
arrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

Y = [i % 2 for i in range(40)]


def whole(source, **options):
    return load(source, test_fraction=0, **options)


@pytest.fixture(params=["pyarrow", "polars"])
def library(request, monkeypatch):
    """Have `read_parquet` take this library; tests write with pyarrow."""
    pytest.importorskip(request.param)

    def missing(*_):
        raise ImportError

    if request.param == "polars":
        monkeypatch.setattr(reader, "_read_with_pyarrow", missing)
    return request.param


# --- columns ----------------------------------------------------------------------------------------------------------


def test_types_of_columns(tmp_path):
    frame = pandas.DataFrame(
        {"a": [1.5, None], "b": ["x", "y"], "c": pandas.to_datetime(["2024-01-31", "2024-02-29"]), "y": [0, 1]}
    )
    frame.to_parquet(tmp_path / "t.parquet")
    data = whole(tmp_path / "t.parquet")
    assert [column.role for column in data.preprocessing.columns] == ["number", "category", "date"]  # pyright: ignore
    assert not data.notes
    frame.set_index("a").to_parquet(tmp_path / "indexed.parquet")
    assert whole(tmp_path / "indexed.parquet").notes[0].startswith("'a' is left out: it was the index of a frame")


def test_a_file_has_the_columns_of_its_frame(tmp_path):
    frame = pandas.DataFrame({"kind": pandas.Categorical(["u", "v"] * 20), "a": range(40), "y": Y})
    frame.set_axis(pandas.Index(range(40), name="row"), axis=0).to_parquet(tmp_path / "t.parquet")
    data = whole(tmp_path / "t.parquet")
    assert [role[:2] for role in data.roles] == [("kind", "category"), ("a", "number"), ("y", "target")]
    np.testing.assert_array_equal(data.train.rows, whole(frame).train.rows)


def test_text_is_no_category_and_may_be_missing(tmp_path, library):
    frame = pandas.DataFrame({"text": ["u", None] * 20, "kind": pandas.Categorical(["u", None] * 20), "y": Y})
    arrow_table = arrow.Table.from_pandas(frame).append_column("empty", arrow.nulls(40, arrow.string()))
    parquet.write_table(arrow_table, tmp_path / "t.parquet", row_group_size=7)
    table = reader.read_parquet(tmp_path / "t.parquet")
    assert table.categories == {"kind"}
    assert [list(table.column(name)[:2]) for name in ("text", "kind")] == [["u", ""]] * 2
    assert all(np.isnan(cell) for cell in table.column("empty"))


@pytest.mark.parametrize("encoding", ["DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"])
def test_texts_that_are_stored_by_their_differences(encoding, tmp_path, library):
    frame = pandas.DataFrame({"kind": ["u", "v"] * 20, "y": Y})
    encodings = {"use_dictionary": False, "column_encoding": {"kind": encoding}}
    parquet.write_table(arrow.Table.from_pandas(frame), tmp_path / "t.parquet", **encodings)
    np.testing.assert_array_equal(whole(tmp_path / "t.parquet").train.rows, whole(frame).train.rows)


def test_an_index_without_a_name_is_left_out_in_silence(tmp_path, library):
    frame = pandas.DataFrame({"a": range(40), "y": Y}, index=[f"row {i}" for i in range(40)])
    frame.to_parquet(tmp_path / "t.parquet")
    table = reader.read_parquet(tmp_path / "t.parquet")
    assert (table.names, table.notes) == (("a", "y"), ())


def test_nested_columns_are_refused_or_left_out_unread(tmp_path, library):
    frame = pandas.DataFrame({"a": [{"x": "q"}, {"x": "r"}] * 20, "l": [["u"]] * 40, "b": range(40), "y": Y})
    frame.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"column 'a' expects numbers, text or dates, got .*: convert it, or drop"):
        whole(tmp_path / "t.parquet")
    assert whole(tmp_path / "t.parquet", drop=["a", "l"]).feature_names == ("b",)
    frame, _ = getattr(reader, f"_read_with_{library}")(tmp_path / "t.parquet", lambda _: True)
    assert str(frame["a"].type if library == "pyarrow" else frame["a"].dtype).lower() == "null"  # not decoded


def test_names_that_look_like_patterns(tmp_path, library):
    frame = pandas.DataFrame({"*": range(40), "^a$": range(40), "a": range(40), "y": Y})
    for name in ("t[12].parquet", "t1.parquet"):
        (frame * (name == "t1.parquet")).assign(y=Y).to_parquet(tmp_path / name)
    data = whole(tmp_path / "t[12].parquet", keep=["*", "^a$", "a"])
    assert data.feature_names == ("*", "^a$", "a")
    assert not data.train.rows.any()


# --- what is refused --------------------------------------------------------------------------------------------------


def test_a_damaged_file(tmp_path, library):
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(
        InputError, match=rf"bad\.parquet expects a table in Parquet, got one that {library} cannot read"
    ):
        load(tmp_path / "bad.parquet")


@pytest.mark.parametrize("library", ["polars"], indirect=True)
def test_a_panic_of_polars_is_a_sentence(tmp_path, library, monkeypatch):
    import polars

    pandas.DataFrame({"a": [1, 2], "y": [0, 1]}).to_parquet(tmp_path / "t.parquet")

    def panic(*_, **__):
        raise polars.exceptions.PanicException("index out of bounds")

    monkeypatch.setattr(polars, "scan_parquet", panic)
    with pytest.raises(InputError, match=r"got one that polars cannot read \(index out of bounds\)"):
        load(tmp_path / "t.parquet")


# --- memory -----------------------------------------------------------------------------------------------------------


def test_many_columns_of_0_and_1_are_read(tmp_path):
    columns = {f"c{i}": np.arange(60_000) % 700 == i for i in range(600)}  # 288 MB as float64
    pandas.DataFrame({**columns, "y": np.arange(60_000) % 2}).to_parquet(tmp_path / "t.parquet")
    assert (tmp_path / "t.parquet").stat().st_size < 1_400_000  # so 200 times the file are less
    assert reader.read_parquet(tmp_path / "t.parquet").n_rows == 60_000


def bomb_of_numbers():
    return arrow.table({"a": np.zeros(4_000_000), "y": np.zeros(4_000_000)})


def bomb_of_texts():
    texts = arrow.DictionaryArray.from_arrays(np.zeros(100_000, np.int32), ["x" * 300])
    return arrow.table({"a": texts.cast(arrow.string()), "y": np.zeros(100_000)})


def bomb_of_large_texts():
    return arrow.table({"a": bomb_of_texts()["a"].cast(arrow.large_string()), "y": np.zeros(100_000)})


def bomb_of_bytes():
    return arrow.table({"a": bomb_of_texts()["a"].cast(arrow.binary()), "y": np.zeros(100_000)})


def bomb_of_fixed_bytes():
    return arrow.table({"a": arrow.array([b"x" * 300] * 100_000, arrow.binary(300)), "y": np.zeros(100_000)})


def bomb_of_views():
    pytest.importorskip("pyarrow", minversion="21")  # older versions write no views
    return arrow.table({"a": arrow.array(["x" * 300] * 100_000, arrow.string_view()), "y": np.zeros(100_000)})


def bomb_of_categories():
    return arrow.table({"a": bomb_of_texts()["a"].dictionary_encode(), "y": np.zeros(100_000)})


BOMBS = (bomb_of_numbers, bomb_of_texts, bomb_of_large_texts, bomb_of_categories, bomb_of_bytes)


def write_bomb(path, make, **options):
    """Write a table ten times, one below the other, in some kilobytes."""
    table = make()
    with parquet.ParquetWriter(path, table.schema, compression="zstd", **options) as writer:
        for _ in range(10):
            writer.write_table(table)
    assert path.stat().st_size < 1_000_000


@pytest.fixture
def bomb_is_refused(tmp_path, monkeypatch):
    """Load a bomb on a machine of 2 GB: 512 MB for its numbers, 256 MB for its texts."""
    monkeypatch.setattr(reader, "memory_bytes", lambda: 2**31)

    def check(make, **options):
        write_bomb(tmp_path / "t.parquet", make, **options)
        limit = "536,870,912" if make is bomb_of_numbers and not options else "268,435,456"
        with pytest.raises(InputError, match=rf"t\.parquet expects at most {limit} bytes in memory"):
            load(tmp_path / "t.parquet")

    return check


@pytest.mark.parametrize("make", [bomb_of_fixed_bytes, bomb_of_views])
def test_texts_without_dictionaries_do_not_become_a_large_table(make, bomb_is_refused):
    bomb_is_refused(make)


def test_texts_that_are_stored_by_their_differences_do_not_become_a_large_table(bomb_is_refused):
    encodings = {"use_dictionary": False, "column_encoding": {"a": "DELTA_BYTE_ARRAY"}}
    bomb_is_refused(bomb_of_texts, **encodings)


def test_numbers_that_are_compressed_alone_do_not_become_a_large_table(bomb_is_refused, monkeypatch):
    monkeypatch.setattr(reader, "memory_bytes", lambda: 2**40)  # their size in the file decides
    bomb_is_refused(bomb_of_numbers, use_dictionary=False)


@pytest.mark.parametrize("make", BOMBS)
def test_a_small_file_does_not_become_a_large_table(make, library, bomb_is_refused):
    bomb_is_refused(make)
