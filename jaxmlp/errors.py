"""The one form of an error sentence: where expects what, got what; then the remedy.

A mistake of the user raises an `InputError`; any other exception is a defect of jaxmlp. The command line prints an
`InputError` as one line and exits with code 2; every other exception keeps its traceback.

A message quotes names and texts of files that may come from anywhere. Control characters are therefore escaped, because
a terminal would obey them, and a text without end is cut.

>>> print(sentence("layer 1", "A_prev of shape (2, m)", "(4, 3)", "is X one example per column?"))
layer 1 expects A_prev of shape (2, m), got (4, 3): is X one example per column?
"""

import difflib
import re
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from types import FrameType
from typing import Any, TypeGuard

MAX_QUOTED_LETTERS = 240  # of one part of a sentence
MAX_NAME_LETTERS = 60  # of one name in a list of names
MAX_MESSAGE_LETTERS = 1500
MAX_PROBLEMS = 5  # that one sentence lists
MIN_SIMILARITY = 0.61  # of a name to a suggestion: "acu" and "auc" have 0.67, "iris" and "digits" 0.6
SYNONYMS = {
    "alpha": "learning_rate",
    "bce": "binary_cross_entropy",
    "eta": "learning_rate",
    "gradientdescent": "sgd",
    "initialisation": "init",
    "initialization": "init",
    "initializer": "init",
    "iterations": "epochs",
    "lambda": "l2",
    "layers": "hidden",
    "linear": "identity",
    "logistic": "sigmoid",
    "loss": "cost",
    "lr": "learning_rate",
    "maxiter": "epochs",
    "minibatch": "batch_size",
    "minibatchsize": "batch_size",
    "mse": "quadratic",
    "numiterations": "epochs",
    "rate": "learning_rate",
    "sizes": "hidden",
    "solver": "optimizer",
    "swish": "silu",
    "units": "hidden",
}  # a name of other books and libraries, without capitals and signs: the name here
INVISIBLE = (0xAD, 0x200B, 0x2060, 0xFEFF)  # soft hyphen, blanks without width, byte order mark
# the control characters of ASCII and Latin-1, the marks that turn the direction of a line, and lone surrogates; and
# letters that nobody sees, by which two names that look the same differ
CONTROL = dict.fromkeys(
    [*range(9), *range(11, 32), *range(127, 160), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
) | dict.fromkeys([*INVISIBLE, *range(0xD800, 0xE000)])
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPES = {code: chr(code).encode("unicode_escape", "surrogatepass").decode("ascii") for code in CONTROL}


def printable(text: object) -> str:
    r"""Return a text whose control characters are escaped, but for line breaks and tabs, as a terminal may show it.

    >>> print(printable("\x1b[31mred"))
    \x1b[31mred
    """
    text = str(text)
    return text if text.isprintable() else text.translate(_ESCAPES)


def quoted(text: object, limit: int = MAX_QUOTED_LETTERS) -> str:
    """Return a text as part of a sentence: on one line, escaped, and cut in its middle if it is long.

    >>> quoted("a\\nb"), quoted("x" * 1000, limit=20)
    ('a\\\\nb', 'xxxxxxx ... xxxxxxxx')
    """
    line = printable(text).replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    if len(line) <= limit:
        return line
    half = (limit - 5) // 2  # 5 for " ... "
    return f"{line[:half]} ... {line[half + 5 - limit :]}"


def check_texts(where: str, texts: Iterable[object], *, nul: bool = False) -> None:
    """Raise for a text that no file can hold: one that is not valid Unicode, or, unless `nul` is true, has a NUL.

    Texts of HDF5 and paths have no NUL; JSON has.

    Raises:
      InputError: there is such a text.

    >>> check_texts("the classes", ["cat", 7, "a\\0b"])
    Traceback (most recent call last):
    jaxmlp.errors.InputError: the classes expects valid text without NUL, got 'a\\x00b': write it in another way
    """
    for text in texts:
        if not isinstance(text, str) or text.isprintable():
            continue
        if _SURROGATE.search(text) or ("\0" in text and not nul):
            raise InputError(sentence(where, "valid text without NUL", repr(text), "write it in another way"))


class InputError(ValueError):
    """A mistake in what the user gave: a value, a shape, a name, a file."""

    def __init__(self, *arguments: object) -> None:
        if len(arguments) == 1 and isinstance(arguments[0], str):
            text = printable(arguments[0])
            arguments = (text if len(text) <= MAX_MESSAGE_LETTERS else quoted(text, MAX_MESSAGE_LETTERS),)
        super().__init__(*arguments)


class InputTypeError(InputError, TypeError):
    """What the user gave has the wrong type or dtype."""


class MissingFileError(InputError, FileNotFoundError):
    """A file or folder that the user named does not exist."""


class WriteError(InputError, OSError):
    """A file or folder could not be written: no room, no right, or a disk that fails; `got` says which."""

    got: str = ""


class MissingPackageError(InputError, ModuleNotFoundError):
    """A package that is not installed: an optional one, which a part of jaxmlp needs."""


class DivergenceError(InputError, FloatingPointError):
    """The cost became infinite or not a number while training; `last_good` is the `Result` before that epoch.

    Where an epoch is cut into several calls of the device, it is the `Result` before that call.
    """

    last_good: Any = None


def sentence(where: str, expects: str, got: object, remedy: str) -> str:
    """Return `{where} expects {expects}, got {got}: {remedy}`, the form of every error text."""
    return f"{quoted(where)} expects {expects}, got {quoted(got)}: {remedy}"


def check_type(where: str, value: object, types: type | tuple[type, ...], expects: str, remedy: str) -> None:
    """Raise an `InputTypeError` unless the value has one of the types.

    >>> check_type("roles", {}, dict, "a dictionary", "write {'age': 'number'}, for example")
    """
    if not isinstance(value, types):
        raise InputTypeError(sentence(where, expects, repr(value), remedy))


def as_names(where: str, value: object, remedy: str) -> tuple[str, ...]:
    """Return one name, or several, as a tuple.

    Raises:
        InputTypeError: for anything else, such as a number or a dictionary.

    >>> as_names("drop", "id", ""), as_names("drop", ["id", 2024], "")
    (('id',), ('id', '2024'))
    """
    if isinstance(value, str):
        return (value,)
    if not is_listed(value):
        raise InputTypeError(sentence(where, "a name, or a list of names", repr(value), remedy))
    return tuple(map(str, value))


def is_listed(value: object) -> TypeGuard[Iterable[Any]]:
    """Whether the value is a collection of several things, and not a text, a dictionary or an array of one number.

    >>> is_listed(["a"]), is_listed("a"), is_listed(3)
    (True, False, False)
    """
    is_scalar = getattr(value, "ndim", 1) == 0  # such an array is Iterable by its type, but cannot be iterated over
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping) and not is_scalar


def unknown(
    category: str, name: object, known: Iterable[str], default_remedy: str = "take one of these names"
) -> InputError:
    """Return the error for an unknown name; its remedy is the nearest known name, else `default_remedy`.

    >>> print(unknown("activation", "rellu", ["relu", "tanh"]))
    activation expects one of relu, tanh, got 'rellu': did you mean 'relu'?
    """
    known = list(known)
    near = nearest_name(str(name), known)
    remedy = f"did you mean {near!r}?" if near else default_remedy
    return InputError(sentence(category, f"one of {', '.join(known)}", repr(name), remedy))


def nearest_name(name: str, known: Sequence[str]) -> str | None:
    """Return the name of a table that was probably meant: "relu" for "ReLU", "he_normal" for "He"; or None.

    >>> nearest_name("Leaky-ReLU", ["relu", "leaky_relu"]), nearest_name("xyz", ["relu"])
    ('leaky_relu', None)
    """
    plain = _plain(name)
    if not plain:
        return None
    candidates = [entry for entry in known if plain in (_plain(entry), _plain(entry.partition("_")[0]))]
    candidates += [SYNONYMS[plain]] if SYNONYMS.get(plain) in known else []
    for spelling in (name, name.lower()):
        candidates += difflib.get_close_matches(spelling, known, n=1, cutoff=MIN_SIMILARITY)
    return next(iter(candidates), None)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


def warn_user(text: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line of the caller outside of jaxmlp, which is the line that the user can change."""
    level, frame = 1, sys._getframe()
    # scikit-learn wraps the methods of an estimator in functions of its own
    while frame.f_back is not None and _package_of(frame) in ("jaxmlp", "sklearn"):
        level, frame = level + 1, frame.f_back
    warnings.warn(quoted(text, MAX_MESSAGE_LETTERS), category, stacklevel=level)


def _package_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def more_cells(count: int) -> str:
    """Return the number of cells with the same fault as text; "" for a single one.

    >>> more_cells(3)
    ' (3 such cells)'
    """
    return f" ({count} such cells)" if count > 1 else ""


def first_problems(problems: Sequence[str]) -> str:
    """Return the first problems as text, and how many more columns have one.

    >>> first_problems(["a gap in 'a'"] * 6).endswith("; and 1 more columns")
    True
    """
    more = f"; and {len(problems) - MAX_PROBLEMS} more columns" if len(problems) > MAX_PROBLEMS else ""
    return "; ".join(problems[:MAX_PROBLEMS]) + more
