"""Read Parquet files with pyarrow or polars, whichever is installed.

The columns have the types of the file; only text is searched for numbers, as in any table. pyarrow leaves out the index
that pandas has stored, and a note names it if it has a name; polars leaves it out only if it has none.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from jaxmlp.data.limits import check_bytes, check_regular, memory_bytes
from jaxmlp.errors import InputError, quoted, sentence
from jaxmlp.tabular.options import TableOptions
from jaxmlp.tabular.table import Table, as_table, check_distinct

TABLE = "its table"
NAMELESS_INDEX = "__index_level_"  # the beginning of the name that pandas gives to a column of an index without one


def read_parquet(path: Path, options: TableOptions | None = None, known_names: Sequence[str] = ()) -> Table:
    """Return the columns of a file.

    Raises:
        InputError: a damaged file, neither library installed, choices that are for text only.
    """
    options = options or TableOptions()
    options.refuse_text_choices(path.name)
    check_regular(path)
    for read in (_read_with_pyarrow, _read_with_polars):
        try:
            frame, indices = read(path)
        except ImportError:
            continue
        except InputError:
            raise
        except Exception as error:  # each library has errors of its own, and a damaged file may raise any of them
            got = f"a damaged file, or one of another format ({quoted((str(error).splitlines() or [''])[0], 120)})"
            raise InputError(sentence(path.name, "a table in Parquet", got, "write it again")) from None
        table = as_table(frame, path.name, partial(_is_ignored, options, known_names))
        notes = [f"{name!r} is left out: it was the index of a frame (reset_index() keeps it)" for name in indices]
        return table._replace(notes=(*notes, *table.notes))
    remedy = "pip install pyarrow (or polars), or save the table as .csv"
    raise InputError(sentence("reading a .parquet file", "pyarrow or polars", "an installation without", remedy))


def _is_ignored(options: TableOptions, known_names: Sequence[str], name: str) -> bool:
    """Whether a column is ignored: the model does not have it, or, without a model, the options leave it out."""
    return name not in known_names if known_names else options.ignores(name)


def _read_with_pyarrow(path: Path) -> tuple[Any, Sequence[str]]:
    """Return the columns without those of the index, and the names of the latter."""
    from pyarrow import parquet  # pyright: ignore[reportMissingImports]

    schema = parquet.read_schema(path)
    check_distinct(schema.names, path.name)
    # Parquet may store each text once, and its index for each row: decoded, a few megabytes could fill the memory. So
    # the columns are read as these dictionaries, and are decoded when their total length is checked.
    texts = {field.name: field.type for field in schema if _is_text(field.type)}
    # pyarrow has no dictionaries for texts that are stored by their differences
    delta = _delta_columns(parquet.read_metadata(path))
    with parquet.ParquetFile(path, read_dictionary=[name for name in texts if name not in delta]) as file:
        metadata = file.metadata
        groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
        lists = [j for j in range(metadata.num_columns) if metadata.schema.column(j).max_repetition_level > 0]
        n_in_lists = sum(group.column(j).num_values for group in groups for j in lists)
        _check_numbers(path, metadata.num_rows * len(schema) + n_in_lists)
        check_bytes(path, sum(group.total_byte_size for group in groups), TABLE)
        table = file.read()
    check_bytes(path, sum(map(_text_bytes, table.columns)), "the text of its cells")
    # pandas stores its index as the last column, which would be the target
    stored = (table.schema.pandas_metadata or {}).get("index_columns", ())
    # the default index of pandas is a dict in this list, without a column
    indices = [name for name in stored if name in table.column_names]
    names = [name for name in table.column_names if name not in indices]
    columns = {name: table[name].cast(texts[name]) if name in texts else table[name] for name in names}
    return type(table).from_pydict(columns), [name for name in indices if not name.startswith(NAMELESS_INDEX)]


def _delta_columns(metadata: Any) -> set[str]:
    """Return the columns of which a part is stored by differences between its texts."""
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    chunks = (group.column(j) for group in groups for j in range(group.num_columns))
    return {chunk.path_in_schema for chunk in chunks if any("DELTA" in name for name in chunk.encodings)}


def _text_bytes(column: Any) -> int:
    """Return how long all texts of a column are together, each counted as often as it occurs; 0 for other columns."""
    from pyarrow import compute, types  # pyright: ignore[reportMissingImports]

    if not types.is_dictionary(column.type) or not _is_text(column.type.value_type):
        return 0
    total = 0
    for chunk in column.chunks:
        lengths = compute.call_function("binary_length", [chunk.dictionary]).take(chunk.indices)
        total += compute.call_function("sum", [lengths]).as_py() or 0
    return total


def _is_text(kind: Any) -> bool:
    from pyarrow import types  # pyright: ignore[reportMissingImports]

    return any(test(kind) for test in (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary))


def _read_with_polars(path: Path) -> tuple[Any, Sequence[str]]:
    """Return the columns without an index that has no name; polars does not show which others are an index."""
    import polars  # pyright: ignore[reportMissingImports]

    try:
        lazy = polars.scan_parquet(path, glob=False)
        names = lazy.collect_schema().names()
        _check_numbers(path, lazy.select(polars.len()).collect().item() * len(names))
        frame = lazy.select([name for name in names if not name.startswith(NAMELESS_INDEX)]).collect()
    except polars.exceptions.PanicException as panic:  # for some damaged files; it is no subclass of Exception
        raise ValueError(str(panic)) from None
    check_bytes(path, sum(map(_text_bytes_of_series, frame)), "the text of its cells")  # polars holds a text once, too
    return frame, ()


def _text_bytes_of_series(series: Any) -> int:
    """Return what `_text_bytes` does, for a column of polars."""
    import polars  # pyright: ignore[reportMissingImports]

    if series.dtype == polars.String:
        return int(series.str.len_bytes().cast(polars.Int64).sum())
    if series.dtype not in (polars.Categorical, polars.Enum):
        return 0
    counts = series.alias("text").drop_nulls().value_counts(name="n")
    lengths = counts["text"].cast(polars.String).str.len_bytes()
    return int((lengths.cast(polars.Int64) * counts["n"]).sum())


def _check_numbers(path: Path, n: int) -> None:
    """Raise if so many numbers would take more than a quarter of the memory of the machine.

    More than for other files: columns of 0 and 1, as of words that were encoded, take next to nothing in Parquet.
    """
    check_bytes(path, 8 * n, TABLE, memory_bytes() // 4)  # as float64, which most columns become
