"""A network written as its sizes, 2-3-5-4-2-1, where a command would otherwise take a model."""

import re

from jaxmlp.data.limits import as_path
from jaxmlp.errors import InputError, sentence
from jaxmlp.nn.network import Network

SIZES = re.compile(r"\d+(-\d+)+")
SIZES_HELP = "A name like 2-3-5-4-2-1 is a network of these sizes, unless there is a file or folder of that name."


def parse_sizes(text: str) -> tuple[int, ...] | None:
    """Return the sizes of a text such as "3-2-1"; None for any other text and for the name of a file or folder.

    Raises:
      InputError: for sizes in another writing, such as "3,2,1" or a single number.

    >>> parse_sizes("3-2-1"), parse_sizes("runs/digits")
    ((3, 2, 1), None)
    """
    if as_path(text).exists():
        return None
    if not SIZES.fullmatch(text):
        if numbers := re.fullmatch(r"[\[(]?\s*\d+([^\w.]+\d+|[x×]\d+)*\s*[\])]?", text):
            remedy = f"write {'-'.join(re.findall(r'[0-9]+', text))}" if numbers[1] else "write 3-2-1, say"
            raise InputError(sentence("MODEL", "a file, a run folder, or sizes like 3-2-1", repr(text), remedy))
        return None
    return tuple(map(int, text.split("-")))


def network_of(sizes: tuple[int, ...], hidden: str | tuple[str, ...] = "relu", output: str | None = None) -> Network:
    """Return the network of these sizes, by default with a sigmoid for one output and softmax for several.

    >>> network_of((3, 2, 1)).output, network_of((3, 2, 4)).output
    ('sigmoid', 'softmax')
    """
    return Network(sizes, hidden, output or ("sigmoid" if sizes[-1] == 1 else "softmax"))
