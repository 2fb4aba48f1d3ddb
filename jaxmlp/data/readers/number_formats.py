"""Decide which signs the numbers of a file have: before decimals, between thousands, and their units.

1,5 in one column                    the comma begins decimals in all columns, and 1.100 is 1100
1.5 in one column, or a,b,c          a comma does not begin decimals, and 1,234 is 1234
neither, or both                     1,234 and 1.100 are not guessed
"""

from collections.abc import Mapping

from jaxmlp.data.labels import preview
from jaxmlp.errors import InputError, sentence
from jaxmlp.tabular.cells import (
    BRACKETS,
    MISSING_NUMBERS,
    POINT,
    Cells,
    NumberFormat,
    has_dotted_thousands,
    number_formats,
    parse_number,
)
from jaxmlp.tabular.number_signs import dotted_columns
from jaxmlp.tabular.options import TableOptions


def file_formats(
    where: str, columns: Mapping[str, Cells], separator: str, options: TableOptions
) -> tuple[dict[str, NumberFormat], list[str]]:
    """Return the number format of each column whose numbers are not plain, and notes about them.

    Args:
        where: the name of the file.
        columns: the cells of each column.
        separator: the sign between the cells of a line.
        options: the options of the user.

    Raises:
        InputError: columns whose numbers can be read in two ways, such as 1,234, where nothing in the file decides.
    """
    if options.decimal is not None or options.thousands is not None:
        return {name: _stated_format(cells, options) for name, cells in columns.items()}, []
    possible = {
        name: forms
        for name, cells in columns.items()
        if isinstance(cells, list) and (forms := number_formats(set(cells)))
    }
    # $1,5 tells as much about the comma as 1,5 does: the unit does not count
    certain = {forms[0]._replace(unit="") for forms in possible.values() if len(forms) == 1}
    formats: dict[str, NumberFormat] = {}
    for name, forms in possible.items():
        fitting = [form for form in forms if form._replace(unit="") in certain] or forms
        if len(fitting) > 1:
            commas = separator == "," or any(_has_decimal_points(cells) for cells in columns.values())
            # in a file that has commas between cells, or 1.5 in another column, a comma does not begin decimals
            fitting = [form for form in fitting if form.decimal == "."] if commas else fitting
        formats[name] = fitting[0]
        if len(fitting) > 1:
            remedy = 'say --decimal , or --thousands , (decimal="," or thousands="," in Python)'
            raise read_in_two_ways(where, name, columns[name], remedy, f", where {separator!r} separates the columns")
    dotted = dotted_columns(columns, formats)
    plain = (cells for name, cells in columns.items() if name not in formats and name not in dotted)
    if dotted and any(map(_are_numbers_with_points, plain)):
        name = next(iter(dotted))
        remedy = "write the decimals of all columns with one sign"
        raise read_in_two_ways(where, name, columns[name], remedy, ", where other columns have 1,5 and 1.5")
    formats |= dotted
    return formats, [_format_note(form, formats) for form in dict.fromkeys(formats.values()) if form != POINT]


def read_in_two_ways(where: str, name: str, cells: Cells, remedy: str, reason: str = "") -> InputError:
    """Return the error for a column whose numbers can be read in two ways."""
    # an example for the error text: a cell such as 12 can be read in one way only
    cell = next(cell for cell in cells if parse_number(cell) is None or "." in cell)
    got = f"{cell!r} in column {name!r}{reason}"
    return InputError(sentence(where, "numbers that can be read in one way", got, remedy))


def _stated_format(cells: Cells, options: TableOptions) -> NumberFormat:
    """Return the number format of a column with the signs of the user; the sign between thousands may be left out."""
    # a dot between thousands leaves the comma for decimals: 1.234,5
    decimal = options.decimal or ("," if options.thousands == "." else ".")
    words = {*cells} if isinstance(cells, list) else set()
    forms = number_formats(words)
    unit = forms[0].unit if forms else ""
    if options.thousands is None:
        # blanks and apostrophes divide thousands beside either sign
        forms = [form for form in forms if form.decimal == decimal or form.thousands in (" ", "'")]
        if forms:
            return forms[0]._replace(decimal=decimal)
        if decimal == "," and has_dotted_thousands(words, unit):
            return NumberFormat(",", ".", unit)
    return NumberFormat(decimal, options.thousands or "", unit)


def _has_decimal_points(cells: Cells) -> bool:
    if not isinstance(cells, list):
        # pandas has read plain numbers into arrays: floats had a point, or an exponent, in the text
        return cells.dtype.kind == "f"
    return any(
        "." in cell and cell.lower() not in MISSING_NUMBERS and parse_number(cell) is not None for cell in set(cells)
    )


def _are_numbers_with_points(cells: Cells) -> bool:
    """Whether a column has decimals after a point, and no text."""
    return _has_decimal_points(cells) and all(parse_number(cell) is not None for cell in set(cells))


def _format_note(form: NumberFormat, formats: dict[str, NumberFormat]) -> str:
    columns = preview([name for name, other in formats.items() if other == form], 5)
    thousands = f"{form.thousands!r} between thousands" if form.thousands else ""
    decimal = f"{form.decimal!r} before decimals" if form.decimal != "." else ""
    unit = "brackets around negative ones" if form.unit == BRACKETS else form.unit and f"the unit {form.unit!r}"
    return f"numbers with {' and '.join(filter(None, (unit, thousands, decimal)))}: {columns}"
