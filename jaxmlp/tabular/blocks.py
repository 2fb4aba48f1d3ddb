"""Encode a column of a table as columns of the network's input, by a block fitted on the training rows.

    number     standard   (x - mean) / standard deviation
               robust     z = (x - median) / (q₇₅ - q₂₅),  z / √(1 + (z/3)²): about z near 0, within (-3, 3)
               quantile   the normal quantile of x's rank among the training rows
               auto       quantile; standard for fewer than 1,000 numbers, because the ranks of their extremes are
                          mostly chance, and if more than half of the numbers are equal, because ranks then say little
                          about the size of the others
               piecewise  (2c - 1)/⁴√T with c = min(1, max(0, (x - e_{t-1}) / (e_t - e_{t-1}))), for each of the T bins
                          [e_{t-1}, e_t]
               robust_piecewise    piecewise, and robust beside it
               none       x
    category   1 in the column (the place) of its value, 0 elsewhere; rare and unknown values share one column
    date       year, month, day, weekday (0 is Monday) and second of the day, standardised; constant ones are left out

If a training row has a gap, one more column is 1 for a missing value, else 0. A missing number itself is replaced by
the mean or median of its column. Robust scaling: Holzmüller et al. 2024 (RealMLP), arXiv 2407.04491; if the quartiles
are equal, half the range is the divisor, or 1 if that is 0. Piecewise-linear encoding: Gorishniy et al. 2022, arXiv
2203.05556. From it the first layer can compute any continuous function of x that is linear in each bin. The bins have
about equally many training rows, and a number that would fill a bin alone is an edge.
"""

import math
from itertools import pairwise
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from jaxmlp.errors import InputError, sentence
from jaxmlp.tabular.deviation import TINY, deviation_of

MAX_KNOTS = 1000  # of a quantile transform
MIN_RANKS = 1000  # fewer training numbers are standardised by scaling "auto"
MAX_BINS = 128  # of a piecewise-linear encoding; √m for m < 16,384 training numbers
MAX_CATEGORIES = 255  # the most frequent, which have a column each
MIN_COUNT = 2  # fewer training rows make a category rare
OUTERMOST = 1e-7  # the rank of the smallest number: the normal quantiles of the extremes are ±5.2
DATE_PARTS = ("year", "month", "day", "weekday", "second")


class NumberBlock(NamedTuple):
    """Encode a number as (x - shift) / scale, with a smooth bound if `bounded`, or by interpolation between knots."""

    fill: float
    shift: float = 0.0
    scale: float = 1.0
    bounded: bool = False
    knots: tuple[float, ...] = ()
    levels: tuple[float, ...] = ()
    has_indicator: bool = False

    @classmethod
    def fit(cls, x: np.ndarray, scaling: str, weights: np.ndarray | None = None) -> "NumberBlock":
        """Return the block for training values x, (m,) with nan for a missing one, and the weights of their rows.

        >>> NumberBlock.fit(np.array([1.0, 3.0, np.nan]), "standard")([[2.0], [np.nan], [4.0]])[:, 0].tolist()
        [0.0, 0.0, 2.0]
        """
        present, p = _present(x, weights)
        indicator = len(present) < len(x)
        if not len(present):
            return cls(0.0, has_indicator=indicator)
        low, high = float(present.min()), float(present.max())
        mean, deviation = _moments(present, p)
        if scaling == "auto":
            scaling = "standard" if len(present) < MIN_RANKS or _is_dominated(present) else "quantile"
        if scaling == "standard":
            if not math.isfinite(deviation):
                got, remedy = f"a number as large as {max(abs(low), abs(high)):.3g}", "rescale that column"
                raise InputError(sentence("preprocessing", "columns with a finite standard deviation", got, remedy))
            is_constant = low == high or deviation == 0
            mean = low if low == high else mean  # the mean of equal numbers may be rounded
            return cls(mean, mean, 1.0 if is_constant else deviation, has_indicator=indicator)
        median = float(np.median(present))
        if scaling == "robust":
            lower, upper = np.quantile(present, (0.25, 0.75))
            spread = float(upper - lower) or (high - low) / 2 or 1.0
            return cls(median, median, spread, True, has_indicator=indicator)
        if scaling == "quantile":
            return cls(median, knots=(), levels=(), has_indicator=indicator)._replace(**_knots(present))
        return cls(mean, has_indicator=indicator)

    @property
    def width(self) -> int:
        """How many input columns the block makes."""
        return 1 + self.has_indicator

    def names(self, name: str) -> list[str]:
        """Return the names of its columns."""
        return [name, f"{name} is missing"][: self.width]

    def __call__(self, x: object) -> np.ndarray:
        """Return (m, width) for x (m,) or (m, 1)."""
        x = np.asarray(x, np.float64).reshape(-1)
        missing = np.isnan(x)
        z = np.where(missing, self.fill, x)
        z = np.interp(z, self.knots, self.levels) if self.knots else (z - self.shift) / self.scale
        if self.bounded:
            z = z / np.sqrt(1 + (z / 3) ** 2)
        return np.stack([z, missing], axis=1) if self.has_indicator else z[:, None]


def _is_dominated(values: np.ndarray) -> bool:
    """Whether more than half of the values are one number."""
    return bool((values == np.median(values)).sum() > len(values) / 2)


def _present(x: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the values that are not missing, and their weights."""
    is_present = ~np.isnan(x)
    return x[is_present], None if weights is None else weights[is_present]


def _moments(values: np.ndarray, weights: np.ndarray | None) -> tuple[float, float]:
    """Return mean and standard deviation with weights; infinite where a square is too large for float64."""
    with np.errstate(over="ignore", invalid="ignore"):
        if weights is None:
            mean, deviation = float(values.mean()), float(values.std())
        else:
            mean = float(np.average(values, weights=weights))
            deviation = float(np.sqrt(np.average((values - mean) ** 2, weights=weights)))
    return mean, deviation_of(values, weights) if deviation < TINY else deviation


def _knots(present: np.ndarray) -> dict[str, tuple[float, ...]]:
    """Return the values at even ranks, each once, and the normal quantiles of their ranks."""
    ranks = np.linspace(0, 1, min(MAX_KNOTS, max(len(present), 2)))
    values = np.quantile(present, ranks)
    normal = NormalDist()
    z = np.array([normal.inv_cdf(min(max(rank, OUTERMOST), 1 - OUTERMOST)) for rank in ranks.tolist()])
    knots, place = np.unique(values, return_inverse=True)
    levels = np.bincount(place, z) / np.bincount(place)  # equal values share the mean of their quantiles
    return {"knots": tuple(knots.tolist()), "levels": tuple(levels.tolist())}


class PiecewiseBlock(NamedTuple):
    """Encode x by its position in each of T bins: -1/⁴√T below the bin, 1/⁴√T above it, linear within.

    Beyond the outermost edges all x have the same bins. The block `number`, if there is one, adds x itself as one more
    input, which distinguishes them.
    """

    fill: float
    edges: tuple[float, ...]
    has_indicator: bool = False
    number: NumberBlock | None = None

    @classmethod
    def fit(cls, x: np.ndarray, *, with_number: bool = False) -> "PiecewiseBlock":
        """Return the block for training values x, (m,) with nan for a missing one; `with_number` adds the robust block.

        >>> block = PiecewiseBlock.fit(np.array([0.0, 2.0, 6.0, 7.0, 8.0]))    # ⌊√5⌋ = 2 bins
        >>> block.edges, (block([1.5, 7.5]) * 2**0.25).round(6).tolist()
        ((0.0, 6.0, 8.0), [[-0.5, -1.0], [1.0, 0.5]])
        """
        present, _ = _present(x, None)
        number = NumberBlock.fit(present, "robust") if with_number else None
        if not len(present):
            return cls(0.0, (0.0, 1.0), True, number)
        edges = _edges(present)
        if len(edges) == 1:  # a constant: one input, which is -1
            edges = np.array(
                [edges[0], np.nextafter(edges[0] + 1, np.inf)]
            )  # nextafter: edges[0] + 1 is edges[0] for large numbers
        return cls(float(np.median(present)), tuple(edges.tolist()), len(present) < len(x), number)

    @property
    def width(self) -> int:
        """How many input columns the block makes."""
        return len(self.edges) - 1 + (self.number is not None) + self.has_indicator

    def names(self, name: str) -> list[str]:
        """Return the names of its columns."""
        bins = [f"{name} from {low:g} to {high:g}" for low, high in pairwise(self.edges)]
        return [*bins, *[name] * (self.number is not None), *[f"{name} is missing"] * self.has_indicator]

    def __call__(self, x: object) -> np.ndarray:
        """Return (m, width) for x (m,) or (m, 1)."""
        x = np.asarray(x, np.float64).reshape(-1)
        missing = np.isnan(x)
        x, edges = np.where(missing, self.fill, x), np.asarray(self.edges)
        z = np.clip((x[:, None] - edges[:-1]) / np.diff(edges), 0, 1)  # (m, T)
        # 1/⁴√T lies between 1, with which so many inputs outweigh the other columns (R² of California housing 0.826,
        # here 0.837), and 1/√T, with which they count too little beside the 0 and 1 of categories (Adult 86.4 %, here
        # 86.7 %); these are single runs, which differed in learning rate too
        z = (2 * z - 1) / (len(edges) - 1) ** 0.25
        number = [] if self.number is None else [self.number(x)]
        return np.column_stack([z, *number, *[missing] * self.has_indicator])


def _edges(present: np.ndarray) -> np.ndarray:
    """Return the edges of the bins: the extremes, numbers that would fill a bin alone, and quantiles of the others."""
    values, counts = np.unique(present, return_counts=True)
    n_bins = min(MAX_BINS, math.isqrt(len(present)))
    if len(values) <= n_bins + 1:
        return values
    # quantiles of all numbers would be 0 if most numbers are 0, as the capital gains of Adult: so a frequent number is
    # an edge, and quantiles of the others are the other edges
    is_frequent = np.zeros(len(values), bool)
    while n_bins > is_frequent.sum():
        fills_a_bin = counts * (n_bins - is_frequent.sum()) > counts[~is_frequent].sum()
        if (is_frequent | ~fills_a_bin).all():
            break
        is_frequent |= fills_a_bin
    infrequent = np.repeat(values[~is_frequent], counts[~is_frequent])
    n_edges = n_bins + 1 - int(is_frequent.sum())
    # inverted_cdf returns numbers of the data: an interpolated edge would lie beside a frequent number
    ranks = np.quantile(infrequent, np.linspace(0, 1, max(n_edges, 2)), method="inverted_cdf")
    return np.unique([values[0], *values[is_frequent], *ranks, values[-1]])


class CategoryBlock(NamedTuple):
    """Encode a category one-hot: the column of each code, of rare and unknown (`other`) and of gaps; -1 for none."""

    places: tuple[int, ...]
    width: int
    other: int = -1
    missing: int = -1

    @classmethod
    def fit(cls, codes: np.ndarray, n_codes: int, weights: np.ndarray | None = None) -> "CategoryBlock":
        """Return the block for training codes, (m,) from 0 to n_codes - 1, nan for a gap, -1 for an unknown value.

        Each row counts with its weight.

        >>> block = CategoryBlock.fit(np.array([0.0, 0.0, 1.0, 1.0, 2.0]), 3)       # the value 2 occurs once
        >>> block(np.array([0.0, 1.0, 2.0, -1.0, np.nan])).tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
        """
        present, p = _present(codes, weights)
        known = present >= 0
        counts = np.bincount(present[known].astype(int), None if p is None else p[known], minlength=n_codes)
        # a stable sort: equally frequent codes stay in their order
        frequent = np.argsort(-counts, kind="stable")[:MAX_CATEGORIES]
        chosen = sorted(code for code in frequent.tolist() if counts[code] >= MIN_COUNT)  # in the order of the words
        places = np.full(n_codes, -1)
        places[chosen] = np.arange(len(chosen))
        width, other, missing = len(chosen), -1, -1
        if not np.isin(present, chosen).all():
            other, width = width, width + 1
            places[places < 0] = other
        if len(present) < len(codes):
            missing, width = width, width + 1
        return cls(tuple(places.tolist()), width, other, missing)

    def names(self, name: str, words: tuple[str, ...]) -> list[str]:
        """Return the names of its columns, for the words of the codes."""
        names = [""] * self.width
        for word, place in zip(words, self.places, strict=True):
            if place not in (-1, self.other):
                names[place] = f"{name}={word}"
        for place, text in ((self.other, "is rare or unknown"), (self.missing, "is missing")):
            if place >= 0:
                names[place] = f"{name} {text}"
        return names

    def __call__(self, codes: np.ndarray) -> np.ndarray:
        """Return (m, width) of 0 and 1 for codes (m,)."""
        missing = np.isnan(codes)
        table = np.array([*self.places, self.other])  # the last entry is for the code -1
        place = np.where(missing, self.missing, table[np.where(missing, -1, codes).astype(int)])
        return (place[:, None] == np.arange(self.width)).astype(np.float64)  # place -1: a row of zeros


class DateBlock(NamedTuple):
    """Encode the parts of a date that vary in the training rows, each as (part - shift) / scale."""

    parts: tuple[str, ...]
    shift: tuple[float, ...]
    scale: tuple[float, ...]
    has_indicator: bool = False

    @classmethod
    def fit(cls, seconds: np.ndarray, weights: np.ndarray | None = None) -> "DateBlock":
        """Return the block for training dates, (m,) seconds since 1970, nan for a gap, and the weights of their rows.

        >>> DateBlock.fit(np.array([0.0, 86400.0])).parts           # Thursday 1 and Friday 2 January 1970
        ('day', 'weekday')
        """
        present, p = _present(seconds, weights)
        values = {part: x for part, x in date_parts(present).items() if len(x) and x.min() < x.max()}
        moments = [_moments(x, p) for x in values.values()]
        shift, scale = tuple(mean for mean, _ in moments), tuple(deviation for _, deviation in moments)
        return cls(tuple(values), shift, scale, len(present) < len(seconds))

    @property
    def width(self) -> int:
        """How many input columns the block makes."""
        return len(self.parts) + self.has_indicator

    def names(self, name: str) -> list[str]:
        """Return the names of its columns."""
        return [f"{name} {part}" for part in self.parts] + [f"{name} is missing"] * self.has_indicator

    def __call__(self, seconds: np.ndarray) -> np.ndarray:
        """Return (m, width) for dates (m,)."""
        missing = np.isnan(seconds)
        values = date_parts(np.where(missing, 0.0, seconds))  # any date; the gaps become 0 below
        columns = [
            np.where(missing, 0.0, (values[part] - shift) / scale)
            for part, shift, scale in zip(self.parts, self.shift, self.scale, strict=True)
        ]
        columns += [missing.astype(np.float64)] * self.has_indicator
        return np.stack(columns, axis=1) if columns else np.zeros((len(seconds), 0))


def date_parts(seconds: np.ndarray) -> dict[str, np.ndarray]:
    """Return year, month, day, weekday and second of the day, each (m,), of seconds since 1970.

    >>> {name: part.tolist() for name, part in date_parts(np.array([86461.0])).items()}
    {'year': [1970.0], 'month': [1.0], 'day': [2.0], 'weekday': [4.0], 'second': [61.0]}
    """
    days = np.floor(seconds / 86400).astype(np.int64)  # not int(): dates before 1970 are negative
    date = days.astype("datetime64[D]")
    months = date.astype("datetime64[M]")
    parts = (
        months.astype("datetime64[Y]").astype(np.int64) + 1970,
        months.astype(np.int64) % 12 + 1,
        (date - months).astype(np.int64) + 1,
        (days + 3) % 7,  # 1 January 1970 was a Thursday
        seconds - days * 86400,
    )
    return dict(zip(DATE_PARTS, (part.astype(np.float64) for part in parts), strict=True))


Block = NumberBlock | PiecewiseBlock | CategoryBlock | DateBlock


def block_to_dict(block: Block) -> dict[str, Any]:
    """Return a block as numbers, lists and dicts that JSON can write; fields that are None are left out."""

    def plain(value: object) -> Any:
        if isinstance(value, NumberBlock):
            return block_to_dict(value)
        return list(value) if isinstance(value, tuple) else value

    return {key: plain(value) for key, value in block._asdict().items() if value is not None}


def block_from_dict(role: str, fields: dict[str, Any]) -> Block:
    """Return the block of a column with this role from what `block_to_dict` returned."""
    number_type = PiecewiseBlock if "edges" in fields else NumberBlock
    block_type: Any = {"category": CategoryBlock, "date": DateBlock}.get(role, number_type)
    values: dict[str, Any] = {k: tuple(value) if isinstance(value, list) else value for k, value in fields.items()}
    if "number" in values:
        values["number"] = block_from_dict(role, values["number"])
    if any(isinstance(value, float) and not math.isfinite(value) for value in values.values()):
        raise ValueError("a number that is not finite")
    return block_type(**values)
