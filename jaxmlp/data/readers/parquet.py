"""Read Parquet files with pyarrow or polars, whichever is installed.

The columns have the types of the file; only text is searched for numbers, as in any table. pyarrow leaves out the index
that pandas has stored, and a note names it if it has a name; polars leaves it out only if it has none.

Parquet stores runs of equal values, and each text once with an index for each row, so a few kilobytes may become
gigabytes. Therefore the memory of numbers is checked before they are read, and that of texts before all of them are
decoded. Nested columns are never read.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from jaxmlp.data.limits import check_bytes, check_regular, memory_bytes
from jaxmlp.errors import InputError, InputTypeError, quoted, sentence
from jaxmlp.tabular.options import TableOptions
from jaxmlp.tabular.table import Table, as_table, check_distinct

NAMELESS_INDEX = "__index_level_"  # the beginning of the name that pandas gives to a column of an index without one
MEMORY_SHARE = 1 / 4  # of the machine, for the numbers: in a table of 0 and 1 they are 200 times the file and more
BATCH_ROWS = 256  # of texts that are counted while they are decoded: one of them may have megabytes
TEXT_TYPES = ("is_string", "is_large_string", "is_binary", "is_large_binary")
OTHER_TEXT_TYPES = ("is_fixed_size_binary", "is_string_view", "is_binary_view")  # without dictionaries in pyarrow


def read_parquet(path: Path, options: TableOptions | None = None, known_names: Sequence[str] = ()) -> Table:
    """Return the columns of a file.

    Raises:
        InputError: a damaged file, one that would fill the memory, nested columns that are not ignored, neither library
            installed, choices that are for text files only.
    """
    options = options or TableOptions()
    options.refuse_text_choices(path.name)
    check_regular(path)
    is_ignored = partial(_is_ignored, options, known_names)
    for library, read in (("pyarrow", _read_with_pyarrow), ("polars", _read_with_polars)):
        try:
            frame, indices = read(path, is_ignored)
        except ImportError:
            continue
        except InputError:
            raise
        except Exception as error:  # each library has errors of its own, and a damaged file may raise any of them
            got = f"one that {library} cannot read ({quoted((str(error).splitlines() or [''])[0], 120)})"
            raise InputError(sentence(path.name, "a table in Parquet", got, "write it again")) from None
        table = as_table(frame, path.name, is_ignored)
        notes = [f"{name!r} is left out: it was the index of a frame (reset_index() keeps it)" for name in indices]
        return table._replace(notes=(*notes, *table.notes))
    remedy = "pip install pyarrow (or polars), or save the table as .csv"
    raise InputError(sentence("reading a .parquet file", "pyarrow or polars", "an installation without", remedy))


def _is_ignored(options: TableOptions, known_names: Sequence[str], name: str) -> bool:
    """Whether a column is ignored: the model does not have it, or, without a model, the options leave it out."""
    return name not in known_names if known_names else options.ignores(name)


def _check_nested(nested: Iterable[tuple[str, object]], is_ignored: Callable[[str], bool]) -> None:
    """Raise for a nested column, given by its name and type, that is not ignored."""
    for name, column_type in nested:
        if not is_ignored(name):
            got, remedy = quoted(column_type, 60), "convert it, or drop the column"
            raise InputTypeError(sentence(f"column {name!r}", "numbers, text or dates", got, remedy))


def _check_numbers_fit(path: Path, n: int) -> None:
    # as float64, which most columns become
    check_bytes(path, 8 * n, "its table", int(MEMORY_SHARE * memory_bytes()))


def _check_texts_fit(path: Path, n_bytes: int) -> None:
    check_bytes(path, n_bytes, "the text of its cells")


# --- pyarrow ----------------------------------------------------------------------------------------------------------


def _read_with_pyarrow(path: Path, is_ignored: Callable[[str], bool]) -> tuple[Any, Sequence[str]]:
    """Return the columns without those of the index, and the names of the latter."""
    from pyarrow import nulls, parquet, types  # pyright: ignore[reportMissingImports]

    schema, metadata = parquet.read_schema(path), parquet.read_metadata(path)
    check_distinct(schema.names, path.name)
    nested = {field.name: field.type for field in schema if types.is_nested(field.type)}
    _check_nested(nested.items(), is_ignored)
    flat = [name for name in schema.names if name not in nested]
    _check_numbers_fit(path, metadata.num_rows * len(flat))
    check_bytes(path, sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups)))
    dictionaries = {field.name: field.type for field in schema if _is_one_of(TEXT_TYPES, field.type)}
    others = [field.name for field in schema if _is_one_of(OTHER_TEXT_TYPES, field.type)]
    try:
        table = _read_counted(path, flat, [*dictionaries], others)
    except OSError:
        # Of a damaged file, or of texts that are stored by their differences: pyarrow does not read those as
        # dictionaries. The metadata of a column names its encodings, but reading it crashes for some damaged files.
        table = _read_counted(path, flat, [], [*dictionaries, *others])
    _check_texts_fit(path, sum(map(_text_bytes, table.columns)))
    # pandas stores its index as the last column, which would be the target
    stored = (table.schema.pandas_metadata or {}).get("index_columns", ())
    # the default index of pandas is a dict in this list, without a column
    indices = [name for name in stored if name in flat]
    columns = {}
    for name in schema.names:
        if name in nested:  # ignored; its name must be there, because the options may name it
            columns[name] = nulls(table.num_rows)
        elif name not in indices:
            columns[name] = table[name].cast(dictionaries[name]) if name in dictionaries else table[name]
    return type(table).from_pydict(columns), [name for name in indices if not name.startswith(NAMELESS_INDEX)]


def _read_counted(path: Path, names: list[str], dictionaries: list[str], others: list[str]) -> Any:
    """Return the columns with these names, some of them as dictionaries; raise if other texts would fill the memory."""
    from pyarrow import parquet  # pyright: ignore[reportMissingImports]

    with parquet.ParquetFile(path, read_dictionary=dictionaries) as file:
        n_bytes = 0
        for batch in file.iter_batches(BATCH_ROWS, columns=others) if others else ():
            n_bytes += batch.get_total_buffer_size()
            _check_texts_fit(path, n_bytes)
        return file.read(columns=names)


def _is_one_of(tests: Sequence[str], column_type: Any) -> bool:
    """Whether one of pyarrow's tests of types is true; older versions lack those of the views."""
    from pyarrow import types  # pyright: ignore[reportMissingImports]

    return any(getattr(types, test, lambda _: False)(column_type) for test in tests)


def _text_bytes(column: Any) -> int:
    """Return how long all texts of a column of dictionaries are together, each as often as it occurs; else 0."""
    from pyarrow import compute, types  # pyright: ignore[reportMissingImports]

    if not types.is_dictionary(column.type) or not _is_one_of(TEXT_TYPES, column.type.value_type):
        return 0
    total = 0
    for chunk in column.chunks:
        lengths = compute.call_function("binary_length", [chunk.dictionary]).take(chunk.indices)
        total += compute.call_function("sum", [lengths]).as_py() or 0  # None if all cells are missing
    return total


# --- polars -----------------------------------------------------------------------------------------------------------


def _read_with_polars(path: Path, is_ignored: Callable[[str], bool]) -> tuple[Any, Sequence[str]]:
    """Return the columns without an index that has no name; polars does not show which others are an index."""
    import polars  # pyright: ignore[reportMissingImports]

    try:
        file = polars.scan_parquet(path, glob=False)
        schema = file.collect_schema()
        nested = {name: column_type for name, column_type in schema.items() if column_type.is_nested()}
        _check_nested(nested.items(), is_ignored)
        _check_numbers_fit(path, file.select(polars.len()).collect().item() * (len(schema) - len(nested)))
        # a nested column is ignored; its name must be there, because the options may name it
        file = file.with_columns(polars.lit(None).alias(name) for name in nested)
        frame = file.drop([name for name in schema if name.startswith(NAMELESS_INDEX)]).collect()
    except polars.exceptions.PanicException as panic:  # for some damaged files; it is no subclass of Exception
        raise ValueError(str(panic)) from None
    _check_texts_fit(path, sum(map(_text_bytes_of_series, frame)))  # polars holds each text once, too
    return frame, ()


def _text_bytes_of_series(series: Any) -> int:
    """Return how long all texts of a column of polars are together, each as often as it occurs; else 0."""
    import polars  # pyright: ignore[reportMissingImports]

    if series.dtype == polars.Binary:
        return int(series.bin.size().cast(polars.Int64).sum())
    if series.dtype == polars.String:
        return int(series.str.len_bytes().cast(polars.Int64).sum())
    if series.dtype not in (polars.Categorical, polars.Enum):
        return 0
    counts = series.alias("text").value_counts(name="n")
    lengths = counts["text"].cast(polars.String).str.len_bytes()
    return int((lengths.cast(polars.Int64) * counts["n"]).sum())
