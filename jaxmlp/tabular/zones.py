"""Whether the times of a column have a time zone.

Times with a zone are read in UTC, and times without one as they are. 09:00 of Tokyo thus becomes the second of the day
of 00:00, and 09:00 without a zone that of 09:00: a model of the one kind must not read the other.
"""

from typing import Any

from jaxmlp.errors import InputTypeError, sentence

# formats of `datetime.strptime`, which a column of dates of a frame stores; "" is that of earlier releases: not known
WITH_ZONE, WITHOUT_ZONE = "%z", "%Y-%m-%d %H:%M:%S"


def has_zone(cells: Any) -> bool:
    """Whether the cells of a frame's column, or of a list, are times with a time zone.

    >>> import datetime
    >>> has_zone([datetime.datetime(2024, 5, 31, tzinfo=datetime.UTC)]), has_zone([datetime.datetime(2024, 5, 31)])
    (True, False)
    """
    dtype = getattr(cells, "dtype", getattr(cells, "type", None))  # PyArrow has a type
    # pandas, polars, and PyArrow within pandas, of which only the text timestamp[ns, tz=UTC][pyarrow] tells it
    if getattr(dtype, "tz", None) or getattr(dtype, "time_zone", None) or "tz=" in str(dtype):
        return True
    is_objects = dtype is None or str(dtype).lower() == "object"  # polars writes Object
    return is_objects and any(getattr(cell, "tzinfo", None) is not None for cell in cells)


def zone_note(name: str) -> str:
    """Return the note for a column of times with a time zone."""
    return f"{name!r}: times with a time zone are read in UTC"


def form_of_times(is_zoned: bool) -> str:
    """Return the format that a column of times stores, by which `form_has_zone` knows it."""
    return WITH_ZONE if is_zoned else WITHOUT_ZONE


def form_has_zone(form: str) -> bool | None:
    """Whether times of a format have a zone; None where that is not known.

    >>> form_has_zone("%Y-%m-%dT%H:%M:%SZ"), form_has_zone("%Y-%m-%d"), form_has_zone("")
    (True, False, None)
    """
    return form.endswith(("%z", "Z")) if form else None


def check_zone(name: str, form: str, is_zoned: bool | None, where: str) -> None:
    """Raise if new times of a column have a time zone and those of the training had none, or the other way round.

    Raises:
        InputTypeError: because the hours of both are not the same.
    """
    expected = form_has_zone(form)
    if None in (expected, is_zoned) or expected == is_zoned:
        return
    expects = f"times {'with' if expected else 'without'} a time zone in column {name!r}, as in training"
    remedy = "give them their zone, as .dt.tz_localize('Europe/Rome') does in pandas"
    if is_zoned:
        remedy = "convert them to the local time of the training, as .dt.tz_localize(None) does in pandas"
    raise InputTypeError(sentence(where, expects, f"times {'with' if is_zoned else 'without'} one", remedy))
