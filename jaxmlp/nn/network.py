"""The network: its static description and its parameters.

    W_l (n_l, n_{l-1}),   b_l (n_l, 1),   l = 1 … L
    γ_l (n_l, 1) where a layer is normalised,   s_l (n_l, 1) where its activation is parametric

A `Network` holds names and numbers only. It is hashable, and for JAX it is a pytree without leaves: it passes through
`jit`, `grad` and `vmap` as it is, and equal networks share one compiled program. Parameters are a bare tuple of
`{"W": ..., "b": ...}` dictionaries, one per layer; a normalised layer has a `"gamma"` besides, one with a parametric
activation an `"s"`, the first layer of a network with members an `"R"`.
"""

import dataclasses
import operator
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, cast

import jax

from jaxmlp.errors import InputError, InputTypeError, sentence, unknown
from jaxmlp.nn import activations, layer_stacks, normalization
from jaxmlp.nn.activations import Activation
from jaxmlp.nn.dense import LayerParams
from jaxmlp.nn.members import MEAN_LOGITS, Widths, n_multiplications

MAX_MEMBERS = 10_000
Params = tuple[LayerParams, ...]


@jax.tree_util.register_static
@dataclass(frozen=True, repr=False)
class Network:
    """Describe a network, without its parameters.

    Args:
      sizes: units per layer from the input on, (n0, n1, …, nL). Two sizes make a network without hidden layer:
        logistic, softmax or linear regression by its output.
      hidden: the activation of all hidden layers, or a tuple with one for each: a name such as "relu",
        "leaky_relu(0.2)" or "maxout(3)", or a record made by `jaxmlp.activation`. By default "relu"; a network without
        hidden layers does not use it.
      output: the activation of the last layer: "sigmoid" (two classes, or several labels at once), "softmax"
        (several classes), "identity" (values), or any other. It has no default, because the cost follows from it.
      norm: "batch" normalises the Z of hidden layers over the examples of a batch, "layer" over the units of each
        example; None does not. For evaluation a batch-normalised network is folded into a plain one, as `fit` does.
      members: k; the network is then k networks that share their hidden layers, each with scales of the inputs and a
        last layer of its own. They train together, each by its own cost, and predict the mean of their outputs
        (`nn.members`). 1 is one network that also learns a scale of each input; None is a network without.
      column_widths: how many inputs each column of the data has, as the bins of a number or the words of a category.
        Members then have a scale for each column instead of each input. None is a scale for each input.
      parametric: whether each hidden unit learns how much of its activation it uses: A = s g(Z) + (1 - s) Z; s starts
        at 1 (`nn.parametric`). False for a network that has only identity.

    Raises:
      InputError: for sizes that are not at least two positive whole numbers, for a number of hidden activations that
        does not fit, for a missing output, for an unknown activation or normalisation, for members without hidden
        layer, with normalisation or with an output whose mean has no logits, for widths of columns that do not add
        up to the inputs, and for a parametric maxout.

    >>> net = Network(sizes=(3, 5, 4, 1), hidden=("tanh", "relu"), output="sigmoid")
    >>> net.depth, net.hidden, net == Network((3, 5, 4, 1), ("tanh", "relu"), "sigmoid")
    (3, ('tanh', 'relu'), True)
    >>> Network(sizes=(2, 1), output="sigmoid")    # logistic regression
    Network(sizes=(2, 1), hidden=(), output='sigmoid', norm=None)
    """

    sizes: tuple[int, ...]
    hidden: str | Activation | tuple[str | Activation, ...] = "relu"
    output: str | Activation = ""  # required; a dataclass asks for a default after that of `hidden`
    norm: str | None = None
    members: int | None = None
    parametric: bool = False
    column_widths: Widths | None = None

    def __post_init__(self) -> None:
        sizes = _checked_sizes(self.sizes)
        hidden = self.hidden
        if isinstance(hidden, (str, Activation)):  # before the tuple: an Activation is a NamedTuple
            hidden = (hidden,) * (len(sizes) - 2)
        elif not isinstance(hidden, (tuple, list)):
            remedy = "write a name as 'relu', or make a record of your function with jaxmlp.activation"
            raise InputTypeError(sentence("hidden", "a name, or one for each hidden layer", repr(hidden), remedy))
        elif len(hidden) != len(sizes) - 2:
            remedy = "give one activation for all, or one for each hidden layer"
            expects = f"{len(sizes) - 2} activation{'s' * (len(sizes) != 3)}"
            raise InputError(sentence("hidden", expects, len(hidden), remedy))
        if self.output == "":
            remedy = "write output='sigmoid', 'softmax' or 'identity'"
            raise InputError(sentence("Network", "the activation of the last layer", "no output", remedy))
        output = _canonical_activation(self.output)
        if output == "softmax" and sizes[-1] < 2:
            remedy = "for two classes use one 'sigmoid' output"
            raise InputError(sentence("softmax output", "at least 2 classes", sizes[-1], remedy))
        if self.norm not in (None, *normalization.NORMS):
            raise unknown("norm", self.norm, normalization.NORMS)
        if self.members is not None:
            object.__setattr__(self, "members", _checked_members(self.members, len(sizes), self.norm, output))
        object.__setattr__(self, "column_widths", _checked_widths(self.column_widths, sizes[0], self.members))
        object.__setattr__(self, "parametric", _checked_parametric(self.parametric, hidden))
        # the normal form is stored, because equal networks must have equal fields: a list and a tuple, or two
        # spellings, would be two keys of the compiled programs
        object.__setattr__(self, "sizes", sizes)
        object.__setattr__(self, "hidden", tuple(map(_canonical_activation, hidden)))
        object.__setattr__(self, "output", output)

    def __repr__(self) -> str:
        extensions = "members", "parametric", "column_widths"
        fields = {name: value for name, value in vars(self).items() if name not in extensions or value}
        return f"Network({', '.join(f'{name}={value!r}' for name, value in fields.items())})"

    @property
    def depth(self) -> int:
        """L, the number of layers, input not counted."""
        return len(self.sizes) - 1

    @property
    def activations(self) -> tuple[Activation, ...]:
        """g_1 … g_L as records."""
        hidden = cast(tuple[str | Activation, ...], self.hidden)  # __post_init__ made it a tuple
        return tuple(map(activations.find, (*hidden, self.output)))

    @property
    def norms(self) -> tuple[str | None, ...]:
        """How each layer is normalised: all hidden layers in the same way, the output never."""
        return (*[self.norm] * (self.depth - 1), None)

    @property
    def shapes(self) -> tuple["LayerShape", ...]:
        """The table of shapes, a row per layer."""
        return _shapes_of(self)

    @property
    def runs(self) -> layer_stacks.Runs:
        """How many equal layers in a row form a stack, from the input to the output; 1 for a layer outside a stack.

        >>> Network((3, *[5] * 11, 2), "relu", "softmax").runs
        (1, 10, 1)
        """
        # with the records besides the names in the shapes: two activations of the user's own may share a name
        return layer_stacks.equal_runs(tuple(zip(self.shapes, self.activations, strict=True)))

    @property
    def n_parameters(self) -> int:
        """The number of all weights, biases and scales of normalised units.

        >>> Network((3, 2, 1), "maxout(2)", "sigmoid").n_parameters    # 4·3 + 4 + 1·2 + 1
        19
        """
        return sum(row.n_parameters for row in self.shapes)

    @property
    def n_products(self) -> int:
        """About how many multiplications one example takes on its way to the output: those of all members.

        >>> Network((3, 2, 1), "relu", "sigmoid").n_products, Network((3, 2, 1), "relu", "sigmoid", None, 4).n_products
        (11, 44)
        """
        if self.members is None:
            return self.n_parameters
        n_1, n_0 = self.shapes[0].W
        above = self.of_a_member.n_products - n_1 * n_0
        return self.members * above + n_1 * n_multiplications(self.column_widths, n_0, self.members)

    @property
    def of_a_member(self) -> "Network":
        """The network that each member is; the network itself where it has none."""
        return dataclasses.replace(self, members=None, column_widths=None)


@lru_cache(128)  # a run asks for them many times
def _shapes_of(net: Network) -> tuple["LayerShape", ...]:
    rows = zip(net.sizes, net.sizes[1:], net.activations, net.norms, strict=False)
    n_hidden = net.depth - 1
    copies = [1] * n_hidden + [net.members or 1]  # the last layer has the members' own below each other
    n_scales = net.sizes[0] if net.column_widths is None else len(net.column_widths)
    scales = [None if net.members is None else (net.members, n_scales)] + [None] * n_hidden
    shapes = (
        LayerShape(n_in, n_out, g.name, (k * g.pieces * n_out, n_in), (k * g.pieces * n_out, 1), norm, R)
        for (n_in, n_out, g, norm), k, R in zip(rows, copies, scales, strict=True)
    )
    is_hidden = [True] * n_hidden + [False]
    return tuple(
        row._replace(parametric=net.parametric and hidden) for row, hidden in zip(shapes, is_hidden, strict=True)
    )


class LayerShape(NamedTuple):
    """A row of the table of shapes: dW, db, dZ and dA have the shapes of W, b, Z (rows of W, m) and A (n_out, m)."""

    n_in: int
    n_out: int
    activation: str
    W: tuple[int, int]
    b: tuple[int, int]
    norm: str | None = None
    R: tuple[int, int] | None = None
    parametric: bool = False

    @property
    def leaves(self) -> dict[str, tuple[int, int]]:
        """The shape of each array of the layer by its name: W, b, and γ, s and R where there are any."""
        leaves = {"W": self.W, "b": self.b}
        if self.norm is not None:
            leaves["gamma"] = self.b
        if self.parametric:
            leaves["s"] = self.b
        if self.R is not None:
            leaves["R"] = self.R
        return leaves

    @property
    def n_parameters(self) -> int:
        """The number of entries of these arrays."""
        return sum(rows * columns for rows, columns in self.leaves.values())


def _checked_sizes(sizes: Iterable[Any]) -> tuple[int, ...]:
    try:
        checked = tuple(operator.index(n) for n in sizes)
    except TypeError:
        checked = ()
    if len(checked) < 2 or min(checked) < 1:
        remedy = "give the units of every layer from the input on, as in (2, 4, 1)"
        raise InputError(sentence("sizes", "at least two positive whole numbers", repr(sizes), remedy))
    return checked


def _checked_members(members: Any, n_sizes: int, norm: str | None, output: str | Activation) -> int:
    try:
        k = operator.index(members)
    except TypeError:
        k = 0
    if not 1 <= k <= MAX_MEMBERS or isinstance(members, bool):
        expects = f"at most {MAX_MEMBERS:,}" if k > MAX_MEMBERS else "a positive whole number"
        raise InputError(sentence("members", expects, repr(members), "write members=32, say"))
    for expects, got, is_absent in (
        ("a network with a hidden layer, which they share", "none", n_sizes > 2),
        ("a network without normalisation", f"norm={norm!r}", norm is None),
        (f"one of the outputs {', '.join(MEAN_LOGITS)}", repr(output), output in MEAN_LOGITS),
    ):
        if not is_absent:
            raise InputError(sentence("members", expects, got, "leave members out for a single network"))
    return k


def _checked_widths(widths: Any, n_0: int, members: int | None) -> Widths | None:
    """Return the widths of the columns; None where each column is one input."""
    if widths is None:
        return None
    try:
        checked = tuple(operator.index(n) for n in widths)
    except TypeError:
        checked = ()
    if not checked or min(checked) < 1 or sum(checked) != n_0:
        expects, remedy = f"positive whole numbers whose sum is {n_0}, the inputs", "leave it out"
        raise InputError(sentence("column_widths", expects, repr(widths), remedy))
    if members is None:
        remedy = "leave column_widths out for a network without"
        raise InputError(sentence("column_widths", "a network with members", "none", remedy))
    return None if len(checked) == n_0 else checked


def _checked_parametric(parametric: object, hidden: Iterable[str | Activation]) -> bool:
    """Return whether the hidden activations are parametric; False where none is left that s could change."""
    if not isinstance(parametric, bool):
        raise InputTypeError(sentence("parametric", "True or False", repr(parametric), "leave it out"))
    records = [activations.find(g) for g in hidden] if parametric else []
    for g in records:
        if g.pieces > 1:
            got, remedy = repr(g.name), "leave parametric out, or write parametric=False beside a preset"
            raise InputError(sentence("parametric", "activations with one row of Z for each unit", got, remedy))
    return any(g.name != "identity" for g in records)


def _canonical_activation(spec: str | Activation) -> str | Activation:
    """Return a built-in activation as the one spelling of its name, and a user's own as its record.

    Equal networks must be equal objects, because JAX looks up compiled programs by them.
    """
    record = activations.find(spec)
    if record.name.partition("(")[0] not in activations.ACTIVATIONS:
        return record
    if activations.find(record.name) != record:
        got, remedy = f"a different one named {record.name!r}", "make it with jaxmlp.activation, under a new name"
        raise InputError(sentence("the network", "the built-in activation of that name", got, remedy))
    return record.name
