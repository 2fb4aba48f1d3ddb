"""What a model is, in words: the lines of its `repr`."""

from jaxmlp.data.preprocessing import Preprocessing
from jaxmlp.errors import MAX_NAME_LETTERS, quoted
from jaxmlp.nn.network import Network
from jaxmlp.tabular.encoder import TableEncoder

MAX_NAMES = 6
"""Classes or columns that are listed by name."""


def network_line(net: Network) -> str:
    """Return the sizes and activations of a network.

    >>> network_line(Network((64, 30, 30, 10), "relu", "softmax"))
    'sizes 64-30-30-10, hidden relu, output softmax'
    """
    parts = ["sizes " + "-".join(map(str, net.sizes))]
    *hidden, output = (g.name for g in net.activations)
    if hidden:
        parts.append("hidden " + ", ".join(dict.fromkeys(hidden)))
    parts.append(f"output {output}")
    parts += [] if net.norm is None else [f"{net.norm} normalisation"]
    return ", ".join([*parts, *network_extensions(net)])


def network_extensions(net: Network) -> list[str]:
    """Return what a network learns besides weights and biases, and its members, in words.

    >>> network_extensions(Network((3, 4, 2), "relu", "softmax", members=8))
    ['8 members']
    >>> network_extensions(Network((3, 4, 2), "relu", "softmax", members=1, parametric=True))
    ['a learnt scale of each input', 'parametric activations']
    """
    members = f"{net.members} members" if net.members != 1 else "a learnt scale of each input"
    return [members] * (net.members is not None) + ["parametric activations"] * net.parametric


def names_line(names: tuple[object, ...]) -> str:
    """Return the first names, and how many there are in all if that is more.

    >>> names_line(tuple(range(10)))
    '0, 1, 2, 3, 4, 5, … (10 in all)'
    """
    more = f", … ({len(names)} in all)" if len(names) > MAX_NAMES else ""
    return ", ".join(quoted(repr(name), MAX_NAME_LETTERS) for name in names[:MAX_NAMES]) + more


def preprocessing_line(preprocessing: Preprocessing | TableEncoder, rows: str = "rows") -> str:
    """Return the formula of a preprocessing, with its numbers where all columns have the same.

    >>> preprocessing_line(Preprocessing.images()), preprocessing_line(Preprocessing.standardize([[1.0], [3.0]]))
    ('rows / 255', '(rows - shift of the column) / scale of the column')
    """
    if isinstance(preprocessing, TableEncoder):
        roles = [column.role for column in preprocessing.columns]
        counts = ", ".join(f"{roles.count(role)} {role}" for role in dict.fromkeys(roles))
        return f"a table of {len(roles)} columns ({counts}) as {preprocessing.n_inputs()} inputs"
    shift, scale = (
        "" if array is None else f"{array.item():g}" if array.ndim == 0 else f"{name} of the column"
        for name, array in (("shift", preprocessing.shift), ("scale", preprocessing.scale))
    )
    formula = f"{rows} - {shift}" if shift else f"{rows} / {scale}" if scale else "none"
    formula = f"({rows} - {shift}) / {scale}" if shift and scale else formula
    return f"{formula}; predictions within the range of the training targets" if preprocessing.is_bounded else formula
