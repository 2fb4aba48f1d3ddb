"""Find the signs in the numbers of a table: a column of one sign decides about a column that fits two.

1,5 in one column        the comma begins decimals, and 1.100 and 301 in another are 1100 and 301
"""

from collections.abc import Mapping

import numpy as np

from jaxmlp.tabular.cells import POINT, Cells, NumberFormat, has_dotted_thousands, number_formats


def certain_formats(columns: Mapping[str, Cells]) -> dict[str, NumberFormat]:
    """Return the number formats of columns of text that are certain: 1,234 is 1234 if another column has floats.

    >>> certain_formats({"a": ["1.100", "301"], "b": ["1,5", "2"]})["a"]
    NumberFormat(decimal=',', thousands='.', unit='')
    """
    has_points = any(isinstance(cells, np.ndarray) and cells.dtype.kind == "f" for cells in columns.values())
    formats = {}
    for name, cells in columns.items():
        forms = number_formats(set(cells)) if isinstance(cells, list) else []
        if len(forms) > 1 and has_points:
            forms = [form for form in forms if form.decimal == "."]
        if len(forms) == 1:
            formats[name] = forms[0]
    # beside floats, which were written with a point, the dot of 1.100 begins decimals as well
    return formats if has_points else formats | dotted_columns(columns, formats)


def dotted_columns(columns: Mapping[str, Cells], formats: Mapping[str, NumberFormat]) -> dict[str, NumberFormat]:
    """Return the format of columns such as 1.100 and 301, if the comma begins the decimals of another column.

    >>> dotted_columns({"a": ["1.100", "301"]}, {"b": NumberFormat(",")})
    {'a': NumberFormat(decimal=',', thousands='.', unit='')}
    """
    if all(form.decimal == "." for form in formats.values()):
        return {}
    plain = {name: formats.get(name, POINT) for name in columns}
    return {
        name: NumberFormat(",", ".", plain[name].unit)
        for name, cells in columns.items()
        if isinstance(cells, list) and plain[name]._replace(unit="") == POINT
        if has_dotted_thousands(set(cells), plain[name].unit)
    }
