"""Parquet files, read by whichever library is installed: pandas with pyarrow, or polars.

The types of the columns are those of the file: nothing is guessed. The index that pandas has stored is left out, and
named in a note if it has a name.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from jaxmlp.data.limits import check_bytes, check_regular
from jaxmlp.errors import InputError, quoted, sentence
from jaxmlp.tabular.options import TableOptions
from jaxmlp.tabular.table import Table, as_table, check_distinct

NAMELESS_INDEX = "__index_level_"  # the beginning of the name that pandas gives to a column of an index without one


def read_parquet(path: Path, options: TableOptions | None = None, known_names: Sequence[str] = ()) -> Table:
    """Return the columns of a file.

    Raises:
        InputError: a damaged file, neither library installed, choices that are for text only.
    """
    options = options or TableOptions()
    options.refuse_text_choices(path.name)
    check_bytes(path, check_regular(path).st_size)
    for read in (_read_with_pyarrow, _read_with_polars):
        try:
            frame, indices = read(path)
        except ImportError:
            continue
        except InputError:
            raise
        except Exception as error:  # each library has errors of its own, and a damaged file may raise any of them
            got = f"a damaged or foreign file ({quoted((str(error).splitlines() or [''])[0], 120)})"
            raise InputError(sentence(path.name, "a table in Parquet", got, "write it again")) from None
        table = as_table(frame, path.name, partial(_is_no_feature, options, known_names))
        notes = [f"{name!r} is left out: it was the index of a frame (reset_index() keeps it)" for name in indices]
        return table._replace(notes=(*notes, *table.notes))
    remedy = "pip install pyarrow (or polars), or save the table as .csv"
    raise InputError(sentence("reading a .parquet file", "pyarrow or polars", "an installation without", remedy))


def _is_no_feature(options: TableOptions, known_names: Sequence[str], name: str) -> bool:
    """Whether a column is no feature: of the model if there is one, else by the options."""
    return name not in known_names if known_names else options.ignores(name)


def _read_with_pyarrow(path: Path) -> tuple[Any, Sequence[str]]:
    """Return the columns without those of the index, and the names of the latter."""
    import pyarrow.parquet  # pyright: ignore[reportMissingImports]

    check_distinct(pyarrow.parquet.read_schema(path).names, path.name)
    table = pyarrow.parquet.read_table(path)
    # pandas stores its index as the last column, which would be the target
    stored = (table.schema.pandas_metadata or {}).get("index_columns", ())
    # the default index of pandas is a dict in this list, without a column
    indices = [name for name in stored if name in table.column_names]
    columns = table.select([name for name in table.column_names if name not in indices])
    return columns, [name for name in indices if not name.startswith(NAMELESS_INDEX)]


def _read_with_polars(path: Path) -> tuple[Any, Sequence[str]]:
    """Return the columns without an index that has no name; polars does not show which others are an index."""
    import polars  # pyright: ignore[reportMissingImports]

    frame = polars.read_parquet(path)
    return frame.select([name for name in frame.columns if not name.startswith(NAMELESS_INDEX)]), ()
