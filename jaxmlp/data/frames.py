"""Read a frame of pandas or polars, or another table in memory, as the table of a training."""

from jaxmlp.data.readers.number_formats import read_in_two_ways
from jaxmlp.tabular.cells import number_formats
from jaxmlp.tabular.columns import empty_missing_words
from jaxmlp.tabular.options import TableOptions
from jaxmlp.tabular.table import Table, as_table


def table_of_frame(frame: object, options: TableOptions, where: str = "the table") -> Table:
    """Return a frame as the table of a training.

    A frame has no options for the signs in its numbers: a model does not store them, and would read a new frame without
    them in another way.

    Args:
        frame: anything that `is_frame` accepts.
        options: the options of the user; a column that is no feature may have cells of any kind.
        where: the name of the table in error texts.

    Raises:
        InputError: options that only a file has, and numbers that can be read in two ways, such as 1,234.
        InputTypeError: cells that are neither numbers, text nor dates.

    >>> table_of_frame({"size": ["1,5", "2"], "y": [0, 1]}, TableOptions()).number_format("size").decimal
    ','
    """
    options.refuse_text_choices(where)
    table = as_table(frame, where, options.ignores)
    # a word for a missing value must not hide the format of the numbers beside it
    for name, cells in zip(table.names, empty_missing_words(table, options).columns, strict=True):
        is_decided = name in table.formats or name in table.categories or name in options.roles
        if not isinstance(cells, list) or is_decided or options.ignores(name):
            continue
        if len(number_formats(set(cells))) > 1:
            raise read_in_two_ways(where, name, cells, "convert the column to numbers first")
    return table
