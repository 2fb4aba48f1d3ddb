"""Read a frame of pandas or polars, or another table in memory, as the table of a training."""

from jaxmlp.data.readers.number_formats import file_formats
from jaxmlp.errors import InputError, sentence
from jaxmlp.tabular.columns import empty_missing_words
from jaxmlp.tabular.options import TableOptions
from jaxmlp.tabular.table import Table, as_table


def table_of_frame(frame: object, options: TableOptions, where: str = "the table") -> Table:
    """Return a frame as a table; numbers in text are read as those of a file are.

    Args:
        frame: anything that `is_frame` accepts.
        options: the options of the user; columns that they leave out may have cells of any kind.
        where: the name of the table in error texts.

    Raises:
        InputError: options that only a file has, and numbers that can be read in two ways.
        InputTypeError: cells that are neither numbers, text nor dates.

    >>> from jaxmlp.tabular.cells import parse_numbers
    >>> table = table_of_frame({"people": ["1,234", "56,789"]}, TableOptions(thousands=","))
    >>> parse_numbers(table.column("people"), table.number_format("people"))[0].tolist()
    [1234.0, 56789.0]
    """
    for name in ("separator", "encoding", "header"):
        if getattr(options, name) is not None:
            expects = f"no {name}, which is for tables in text"
            raise InputError(sentence(where, expects, "one", "leave it out"))
    table = as_table(frame, where, options.ignores)
    # a word for a missing value must not hide the format of the numbers beside it
    columns = zip(table.names, empty_missing_words(table, options).columns, strict=True)
    used = {name: cells for name, cells in columns if name not in table.categories and not options.ignores(name)}
    formats, notes = file_formats(where, used, "", options)
    return table._replace(formats=formats, notes=(*table.notes, *notes))
