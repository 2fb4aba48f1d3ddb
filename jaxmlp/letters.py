"""Write a picture whose font lacks some letters, such as Chinese ones, with further fonts of this machine.

Matplotlib looks for each letter in a list of fonts, in their order. The fonts are added after those that each text of a
figure already has, so that all other letters look as before and no global setting changes. They are searched only after
Matplotlib has warned of a missing letter.
"""

import logging
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager, get_font
from matplotlib.text import Text


def write_figure(figure: Figure, path: Path, suffix: str) -> list[warnings.WarningMessage]:
    """Write a figure in the format of a suffix, and return the warnings of Matplotlib."""
    caught = _write(figure, path, suffix)
    return _write(figure, path, suffix) if any(map(is_missing_letter, caught)) and _add_fonts(figure) else caught


def _write(figure: Figure, path: Path, suffix: str) -> list[warnings.WarningMessage]:
    log = logging.getLogger("matplotlib.font_manager")
    log.addFilter(_is_worth_reading)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            figure.savefig(path, dpi=130, bbox_inches="tight", format=suffix)
    finally:
        log.removeFilter(_is_worth_reading)
    return caught


def _is_worth_reading(record: logging.LogRecord) -> bool:
    # a font may lack the weight that is asked for: it is then used as it is, and the user need do nothing
    return "font weight" not in record.getMessage()


def is_missing_letter(warning: warnings.WarningMessage) -> bool:
    """Whether Matplotlib warns of a letter that the fonts of a text lack."""
    return "missing from" in str(warning.message)


def _add_fonts(figure: Figure) -> bool:
    """Add fonts for the letters of all texts of a figure after those that each has; return whether there are any."""
    texts: Any = figure.findobj(Text)
    letters = frozenset(letter for text in texts for letter in text.get_text() if not letter.isascii())
    fonts = fonts_with(letters)
    for text in texts:
        text.set_fontfamily([*text.get_fontfamily(), *fonts])
    return bool(fonts)


@lru_cache(16)  # to read all fonts of a machine can take seconds
def fonts_with(letters: frozenset[str]) -> tuple[str, ...]:
    """Return the names of installed fonts which together have these letters, or as many of them as there are."""
    names, missing = [], set(map(ord, letters))
    letters_of: dict[str, set[int]] = {}
    for font in fontManager.ttflist:
        # Last Resort has every letter, as a box
        if font.name.startswith("Last Resort"):
            continue
        try:
            found = missing & get_font(font.fname).get_charmap().keys()
        except (OSError, RuntimeError):  # a font that has been removed, or that FreeType cannot read
            continue
        letters_of.setdefault(font.name, set()).update(found)
    # the most letters first: one name looks best in one font, and a Japanese font has only some letters of Chinese
    while best := max(letters_of, key=lambda name: len(letters_of[name] & missing), default=None):
        if not letters_of[best] & missing:
            break
        names.append(best)
        missing -= letters_of[best]
    return tuple(names)
