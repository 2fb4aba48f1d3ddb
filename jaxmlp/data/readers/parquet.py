"""Read Parquet files with pyarrow or polars, whichever is installed.

The columns have the types of the file; only text is searched for numbers, as in any table. pyarrow leaves out the index
that pandas has stored, and a note names it if it has a name; polars leaves it out only if it has none.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from jaxmlp.data.limits import check_bytes, check_regular, memory_bytes
from jaxmlp.errors import InputError, InputTypeError, quoted, sentence
from jaxmlp.tabular.options import TableOptions
from jaxmlp.tabular.table import Table, as_table, check_distinct

TABLE, CELLS = "its table", "the text of its cells"
BATCH_ROWS = 256  # a cell may have megabytes
NAMELESS_INDEX = "__index_level_"  # the beginning of the name that pandas gives to a column of an index without one


def read_parquet(path: Path, options: TableOptions | None = None, known_names: Sequence[str] = ()) -> Table:
    """Return the columns of a file.

    Raises:
        InputError: a damaged file, neither library installed, choices that are for text only.
    """
    options = options or TableOptions()
    options.refuse_text_choices(path.name)
    check_regular(path)
    is_ignored = partial(_is_ignored, options, known_names)
    for read in (_read_with_pyarrow, _read_with_polars):
        try:
            frame, indices = read(path, is_ignored)
        except ImportError:
            continue
        except InputError:
            raise
        except Exception as error:  # each library has errors of its own, and a damaged file may raise any of them
            got = f"a damaged file, or one of another format ({quoted((str(error).splitlines() or [''])[0], 120)})"
            raise InputError(sentence(path.name, "a table in Parquet", got, "write it again")) from None
        table = as_table(frame, path.name, is_ignored)
        notes = [f"{name!r} is left out: it was the index of a frame (reset_index() keeps it)" for name in indices]
        return table._replace(notes=(*notes, *table.notes))
    remedy = "pip install pyarrow (or polars), or save the table as .csv"
    raise InputError(sentence("reading a .parquet file", "pyarrow or polars", "an installation without", remedy))


def _is_ignored(options: TableOptions, known_names: Sequence[str], name: str) -> bool:
    """Whether a column is ignored: the model does not have it, or, without a model, the options leave it out."""
    return name not in known_names if known_names else options.ignores(name)


def _refuse_nested(name: str, kind: object) -> None:
    remedy = "convert it, or drop the column"
    raise InputTypeError(sentence(f"column {name!r}", "numbers, text or dates", quoted(kind, 60), remedy))


def _read_with_pyarrow(path: Path, is_ignored: Callable[[str], bool]) -> tuple[Any, Sequence[str]]:
    """Return the columns without those of the index, and the names of the latter."""
    from pyarrow import nulls, parquet, types  # pyright: ignore[reportMissingImports]

    schema = parquet.read_schema(path)
    check_distinct(schema.names, path.name)
    nested = [field for field in schema if types.is_nested(field.type)]
    for field in nested:
        if not is_ignored(field.name):
            _refuse_nested(field.name, field.type)
    nested_names = {field.name for field in nested}
    read_names = [name for name in schema.names if name not in nested_names]
    # Parquet may store each text once, and its index for each row: decoded, a few megabytes could fill the memory. So
    # the columns are read as these dictionaries, and are decoded when their total length is checked.
    texts = {field.name: field.type for field in schema if _is_text(field.type)}
    # pyarrow has no dictionaries for texts that are stored by their differences
    delta = _delta_columns(parquet.read_metadata(path))
    with parquet.ParquetFile(path, read_dictionary=[name for name in texts if name not in delta]) as file:
        metadata = file.metadata
        groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
        _check_numbers(path, metadata.num_rows * len(read_names))
        check_bytes(path, sum(group.total_byte_size for group in groups), TABLE)
        # what is not read as dictionaries is decoded once before, a few rows at a time
        others = [f.name for f in schema if (f.name in texts and f.name in delta) or _is_other_text(f.type)]
        size = 0
        for batch in file.iter_batches(BATCH_ROWS, columns=others) if others else ():
            size += batch.get_total_buffer_size()
            check_bytes(path, size, CELLS)
        table = file.read(columns=read_names)
    for i, name in enumerate(schema.names):  # nobody reads it, but it can be named in the options
        if name in nested_names:
            table = table.add_column(i, name, nulls(table.num_rows))
    check_bytes(path, sum(map(_text_bytes, table.columns)), CELLS)
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


def _is_other_text(kind: Any) -> bool:
    """Whether pyarrow cannot read a text of this type as a dictionary: older versions lack the views."""
    from pyarrow import types  # pyright: ignore[reportMissingImports]

    names = ("is_fixed_size_binary", "is_string_view", "is_binary_view")
    return any(getattr(types, name, lambda _: False)(kind) for name in names)


def _read_with_polars(path: Path, is_ignored: Callable[[str], bool]) -> tuple[Any, Sequence[str]]:
    """Return the columns without an index that has no name; polars does not show which others are an index."""
    import polars  # pyright: ignore[reportMissingImports]

    try:
        lazy = polars.scan_parquet(path, glob=False)
        schema = lazy.collect_schema()
        nested = {name: kind for name, kind in schema.items() if kind.is_nested()}
        for name, kind in nested.items():
            if not is_ignored(name):
                _refuse_nested(name, kind)
        names = [name for name in schema.names() if not name.startswith(NAMELESS_INDEX)]
        _check_numbers(path, lazy.select(polars.len()).collect().item() * (len(schema) - len(nested)))
        # of an ignored column nobody reads the cells, but it can be named in the options
        frame = lazy.select([polars.lit(None).alias(n) if n in nested else polars.col(n) for n in names]).collect()
    except polars.exceptions.PanicException as panic:  # for some damaged files; it is no subclass of Exception
        raise ValueError(str(panic)) from None
    check_bytes(path, sum(map(_text_bytes_of_series, frame)), CELLS)  # polars holds a text once, too
    return frame, ()


def _text_bytes_of_series(series: Any) -> int:
    """Return what `_text_bytes` does, for a column of polars."""
    import polars  # pyright: ignore[reportMissingImports]

    if series.dtype == polars.Binary:
        return int(series.bin.size().cast(polars.Int64).sum())
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
