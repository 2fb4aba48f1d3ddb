"""Parquet files, read by whichever library is installed: pandas with pyarrow, or polars.

The types of the columns are those of the file: nothing is guessed, and the index that pandas has stored is left out.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxmlp.data.limits import check_bytes, check_regular
from jaxmlp.errors import InputError, quoted, sentence
from jaxmlp.tabular.options import TableOptions
from jaxmlp.tabular.table import Table, as_table


def read_parquet(path: Path, options: TableOptions | None = None, known_names: Sequence[str] = ()) -> Table:
    """Return the columns of a file.

    Raises:
        InputError: a damaged file, neither library installed, choices that are for text only.
    """
    chosen = [name for name, value in (options or TableOptions()).of_file.items() if value is not None]
    if chosen:
        expects = f"no {chosen[0]}, which is for tables in text"
        raise InputError(sentence(path.name, expects, "one", "leave it out"))
    check_bytes(path, check_regular(path).st_size)
    for read in (_read_with_pyarrow, _read_with_polars):
        try:
            frame = read(path)
        except ImportError:
            continue
        except Exception as error:  # each library has errors of its own, and a damaged file may raise any of them
            got = f"a damaged or foreign file ({quoted((str(error).splitlines() or [''])[0], 120)})"
            raise InputError(sentence(path.name, "a table in Parquet", got, "write it again")) from None
        return as_table(frame, path.name)
    remedy = "pip install pyarrow (or polars), or save the table as .csv"
    raise InputError(sentence("reading a .parquet file", "pyarrow or polars", "an installation without", remedy))


def _read_with_pyarrow(path: Path) -> Any:
    import pyarrow.parquet  # pyright: ignore[reportMissingImports]

    table = pyarrow.parquet.read_table(path)
    # pandas stores its index as the last column, which would be the target
    indices = (table.schema.pandas_metadata or {}).get("index_columns", ())
    # the default index of pandas is a dict in this list, without a column
    return table.select([name for name in table.column_names if name not in indices])


def _read_with_polars(path: Path) -> Any:
    import polars  # pyright: ignore[reportMissingImports]

    frame = polars.read_parquet(path)
    # polars does not show the notes of pandas: this is the name of an index without a name
    return frame.select([name for name in frame.columns if not name.startswith("__index_level_")])
