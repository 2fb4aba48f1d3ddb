"""How a table is read and what its columns are: every choice that a user can overrule, in one record."""

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxmlp.errors import InputError, InputTypeError, as_names, check_texts, check_type, sentence, unknown
from jaxmlp.tabular.roles import ROLES

PIECEWISE, WITH_NUMBER = "piecewise", "robust_piecewise"
SCALINGS = ("standard", "robust", "quantile", "auto", PIECEWISE, WITH_NUMBER, "none")
"""How the numbers of a column are scaled; see `blocks`."""
SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "space": " ", "pipe": "|"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableOptions:
    """The choices for a table; None and () leave a choice to the table itself.

    Args:
        features: the columns to use, all others are ignored.
        drop: columns to ignore.
        keep: columns to use although they look like free text, identifiers or constants.
        roles: {column: "number", "category", "yes/no" or "date"}, where a column looks like something else.
        weights: the column of the weights of the training rows.
        numbers: "standard", "robust", "quantile", "auto", "piecewise", "robust_piecewise" or "none", how columns of
            numbers are scaled; see `tabular.blocks`.
        missing: further words for a missing value, beside an empty cell, "?", NA and the like.
        separator: one character, or "comma", "semicolon", "tab", "space" or "pipe".
        decimal, thousands: the signs in numbers, such as "," and ".".
        encoding: of the text, such as "utf-8" or "cp1252".
        header: whether the first line holds the names of the columns.

    Raises:
        InputError: a value that is not among those above.

    >>> TableOptions(drop="id", separator="tab").drop
    ('id',)
    """

    features: Sequence[str] = ()
    drop: Sequence[str] = ()
    keep: Sequence[str] = ()
    roles: Mapping[str, str] = dataclasses.field(default_factory=dict)
    weights: str | None = None
    numbers: str = "standard"
    missing: Sequence[str] = ()
    separator: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    encoding: str | None = None
    header: bool | None = None

    def __post_init__(self) -> None:
        for name in ("features", "drop", "keep", "missing"):
            remedy = f"write {name}=['NA'], for example" if name == "missing" else f"write {name}=['age'], for example"
            # drop="id" is the column id, and not the columns i and d
            object.__setattr__(self, name, as_names(name, getattr(self, name), remedy))
        check_texts("missing", self.missing, nul=True)  # which a model keeps
        if self.numbers not in SCALINGS:
            raise unknown("numbers", self.numbers, SCALINGS)
        expects, remedy = "a dictionary {column: role}", "write roles={'age': 'number'}, for example"
        check_type("roles", self.roles, Mapping, expects, remedy)
        check_type("encoding", self.encoding, (str, type(None)), "the name of an encoding", "write 'utf-8', say")
        header_types = (bool, np.bool_, type(None))
        check_type("header", self.header, header_types, "True or False", "leave it out, and the file decides")
        for role in self.roles.values():
            if role not in ROLES:
                raise unknown("the role of a column", role, ROLES)
        separator = SEPARATORS.get(str(self.separator), self.separator)
        # a shell passes '\t' on as two characters
        object.__setattr__(self, "separator", "\t" if separator == "\\t" else separator)
        for name in ("separator", "decimal", "thousands"):
            value = getattr(self, name)
            # thousands="" is allowed: it states that there is no such sign
            if value is not None and (
                not isinstance(value, str) or len(value) > 1 or (not value and name == "decimal")
            ):
                raise InputError(sentence(name, "one character", repr(value), "write ',' or ';', for example"))
        if self.decimal is not None and self.decimal == self.thousands:
            raise InputError(sentence("thousands", "another sign than decimal", repr(self.thousands), "change one"))

    @property
    def text_choices(self) -> dict[str, Any]:
        """The choices about the text of a file, which a table in memory does not have."""
        return {name: getattr(self, name) for name in ("separator", "decimal", "thousands", "encoding", "header")}

    def refuse_text_choices(self, where: str) -> None:
        """Raise for a choice about the text of a file, where the source is none.

        Raises:
            InputError: such a choice.
        """
        for name, value in self.text_choices.items():
            if value is not None:
                remedy = "convert the columns to numbers" if name in ("decimal", "thousands") else "leave it out"
                expects = f"no option {name}, which is for text files"
                raise InputError(sentence(where, expects, repr(value), remedy))

    def ignores(self, name: str) -> bool:
        """Whether no column of this name is a feature, because it is dropped, or is not among the chosen ones."""
        return name in self.drop or (bool(self.features) and name not in self.features)

    @property
    def non_default(self) -> list[str]:
        """The names of the choices that differ from their defaults.

        >>> TableOptions(drop="id", weights="w").non_default
        ['drop', 'weights']
        """
        defaults = TableOptions()
        return [name for name in FIELDS if getattr(self, name) != getattr(defaults, name)]


FIELDS = tuple(field.name for field in dataclasses.fields(TableOptions))


def resolve_options(caller: str, options: TableOptions | None, keywords: Mapping[str, Any]) -> TableOptions:
    """Return the options with keywords on top.

    Raises:
        InputTypeError: a keyword that is no option.

    >>> resolve_options("load", None, {"drop": ["id"]}).drop
    ('id',)
    """
    for name in keywords:
        if name not in FIELDS:
            near = difflib.get_close_matches(name, FIELDS, n=1)
            remedy = f"did you mean {near[0]!r}?" if near else "see help(jaxmlp.tabular.TableOptions)"
            raise InputTypeError(sentence(caller, "arguments of its own or of TableOptions", repr(name), remedy))
    return dataclasses.replace(options or TableOptions(), **keywords)
