"""run.json: what a run was started with, by which it is resumed, and from which `evaluate` knows the split.

A checksum stands in it. A file in our own layout whose checksum is that of other settings was damaged, or edited by
hand, and is refused; one that another program has written again, in a layout of its own, is used, and a note says so.
"""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from jaxmlp.cli.output import console
from jaxmlp.data.checksum import KEY, digest_of_facts
from jaxmlp.data.files import write_bytes
from jaxmlp.data.limits import as_path, check_regular
from jaxmlp.data.locks import SETTINGS as SETTINGS
from jaxmlp.errors import InputError, quoted, sentence

MAX_BYTES = 16 * 2**20

Settings = dict[str, Any]  # what run.json holds: "data", "loading", "options", "result", "finished", …

_Types = tuple[type, ...]
_TEXTS = (list, str)  # a list of texts
_NUMBER = (int, float)
_FACTS: dict[str, _Types] = {"data": (str,), "loading": (dict,), "options": (dict,), "fingerprint": (str,)}
_LATER_FACTS: dict[str, _Types] = {"finished": (bool,), "devices": (str,), "diverged": (list,), "result": (dict,)}
_LOADING: dict[str, _Types] = {
    **dict.fromkeys(("task", "weights", "numbers", "separator", "decimal", "thousands", "encoding"), (str,)),
    **dict.fromkeys(("features", "drop", "keep", "missing"), (list,)),
    **dict.fromkeys(("standardize", "header"), (bool,)),
    **{"target": _TEXTS, "roles": (dict,), "test_fraction": _NUMBER, "seed": (int,), "memory": (int,)},
    "image_size": (list,),
}
_LOADING_MEMBERS = {"image_size": int}  # of a list or dictionary that holds no texts
_OPTIONS: dict[str, _Types] = {
    **{"optimizer": (str,), "learning_rate": (*_NUMBER, str), "l2": _NUMBER, "epochs": (int,)},
    **{"validation_fraction": _NUMBER, "patience": (int,), "schedule": (str,), "seed": (int,)},
}


def write_settings(folder: Path, settings: Mapping[str, object]) -> None:
    """Write run.json in one step, with its checksum.

    Raises:
      WriteError: when the disk does not take it.
    """
    # as they will be read: JSON knows no tuples, and no keys but texts; the checksum must be that of what is read
    facts = json.loads(json.dumps({name: value for name, value in settings.items() if name != KEY}))
    # a path of the system may hold bytes that are no text: they are kept as they are
    text = _layout({**facts, KEY: digest_of_facts(facts)})
    write_bytes(folder / SETTINGS, text.encode("utf-8", "surrogateescape"))


def _layout(facts: Settings) -> str:
    return json.dumps(facts, indent=1, ensure_ascii=False) + "\n"


def read_settings(model: str) -> Settings:
    """Return the settings beside a model; an empty dictionary if it has none.

    Raises:
      InputError: when they are damaged, or of other types than a run writes.
    """
    path = as_path(model)
    path = (path if path.is_dir() else path.parent) / SETTINGS
    if not path.exists():
        return {}
    if check_regular(path).st_size > MAX_BYTES:
        raise _damaged(path, f"more than {MAX_BYTES:,} bytes")
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        settings = json.loads(text)
    except OSError as error:
        raise _damaged(path, error.strerror or str(error)) from None
    except (ValueError, RecursionError, MemoryError):
        raise _damaged(path, "a text that is no JSON") from None
    if not isinstance(settings, dict):
        raise _damaged(path, f"a {type(settings).__name__}")
    if not {"data", "options"} & settings.keys():
        return {}  # of another program
    stated = settings.pop(KEY, None)
    if stated is not None and stated != digest_of_facts(settings):
        if text == _layout({**settings, KEY: stated}):
            got = "one that was changed since it was written, as its checksum tells"
            remedy = f"restore it; or remove the line of the {KEY}, if you have changed it"
            raise InputError(sentence(str(path), "the settings of a run", got, remedy))
        line = f"note: {quoted(path)} was written again by another program; its checksum is that of other settings"
        console(stderr=True).print(line, soft_wrap=True)
    _check_settings(path, settings)
    return settings


def _check_settings(path: Path, settings: Settings) -> None:
    """Raise for a fact that is absent, or of a type that no run writes."""
    for name in _FACTS:
        if settings.get(name) is None:
            raise _damaged(path, f"none for {name!r}")
    _check_types(path, settings, _FACTS | _LATER_FACTS)
    _check_types(path, settings["loading"], _LOADING)
    _check_types(path, settings["options"], _OPTIONS)
    for name in settings["loading"]:
        if name not in _LOADING:
            raise _damaged(path, f"{name!r}, which says nothing about data,")


def _check_types(path: Path, facts: Settings, types: Mapping[str, _Types]) -> None:
    for name, value in facts.items():
        if name not in types or value is None:
            continue
        is_number_for_bool = isinstance(value, bool) and bool not in types[name]
        members = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
        member_type = _LOADING_MEMBERS.get(name, str)
        has_typed_members = name not in _LOADING or all(isinstance(member, member_type) for member in members)
        is_endless = isinstance(value, float) and not math.isfinite(value)  # Python's json reads NaN and Infinity
        if not isinstance(value, types[name]) or is_number_for_bool or not has_typed_members or is_endless:
            raise _damaged(path, f"{value!r} for {name!r}")


def check_options(path: Path, options: Settings, parameters: Iterable[click.Parameter], skipped: Iterable[str]) -> None:
    """Bring the options of a run to the types of the command's, and add those that an older release did not write.

    Args:
      path: of run.json, for the error text.
      options: of run.json; they are changed in place.
      parameters: of the command.
      skipped: names of parameters that are no option of the run.

    Raises:
      InputError: a value that the command would refuse.
    """
    context = click.Context(click.Command("train"))
    names = set(skipped)
    for parameter in parameters:
        name = str(parameter.name)
        if name in names:
            continue
        default = _default_of(parameter, context)
        value = options.get(name, default)
        if value is None and default is None:
            options[name] = None
            continue
        try:
            # --hidden 100,50 is one value of several numbers: the list of JSON is that value, and not a text to convert
            if isinstance(value, list) and not parameter.multiple and parameter.type.is_composite is False:
                if not all(isinstance(part, str | int) for part in value):
                    raise TypeError
                options[name] = value
                continue
            options[name] = parameter.type_cast_value(context, tuple(value) if isinstance(value, list) else value)
        except (click.BadParameter, TypeError, ValueError, AttributeError):
            raise _damaged(path, f"{value!r} for {name!r}") from None


def _default_of(parameter: click.Parameter, context: click.Context) -> Any:
    """Return the value of an option that is not written; None where it has none."""
    default = parameter.get_default(context)
    if type(default).__name__ == "Sentinel":  # as click says "none" since 8.3
        default = None
    return () if default is None and parameter.multiple else default


def _damaged(path: Path, reason: str) -> InputError:
    return InputError(
        sentence(
            str(path), "the settings of a run", f"a damaged file ({quoted(reason, 120)})", "restore it from a copy"
        )
    )
