"""`%%check_backprop`: the verdict on a backward pass in NumPy below the cell that defines it.

    %load_ext jaxmlp.notebook

    %%check_backprop 3-4-1 --hidden tanh
    def backward(params, X, Y):
        ...

The cell runs as usual, and `verify_numpy` then judges the function: the first wrong equation, an entry with its correct
value, and the cause where it is known. What the function prints meanwhile is not shown, because it is called for each
of many batches.
"""

import argparse
import ast
import shlex
from contextlib import redirect_stdout
from io import StringIO
from typing import Any, NoReturn

from jaxmlp.cli.network_sizes import SIZES, network_of
from jaxmlp.errors import InputError, sentence
from jaxmlp.evidence.numpy_check.verify_numpy import NumpyReport, verify_numpy
from jaxmlp.nn.network import Network
from jaxmlp.nn.objective import Objective

MAGIC = "check_backprop"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(sentence(f"%%{MAGIC}", "sizes and options", message, f"write %%{MAGIC} 3-4-1 --hidden tanh"))

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:  # --help must not end the kernel
        raise InputError(" ".join(self.format_usage().split()))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog=f"%%{MAGIC}", add_help=False)
    parser.add_argument("sizes", help="layer sizes of the network, such as 3-4-1")
    parser.add_argument("--hidden", default="relu", help="activation of the hidden layers, or one for each: tanh,relu")
    parser.add_argument("--output", help="activation of the output [sigmoid for one unit, softmax for several]")
    parser.add_argument("--cost", help="cost [that of the output]")
    parser.add_argument("--l2", type=float, help="λ of the L2 penalty in the function")
    parser.add_argument("--function", metavar="NAME", help="which function of the cell [the last one]")
    parser.add_argument("--report", metavar="NAME", help="keep the report under this name")
    parser.add_argument("-h", "--help", action="help")
    return parser


def network_of_line(sizes: str, hidden: str, output: str | None) -> Network:
    """Return the network that the line of the magic describes.

    >>> network_of_line("3-4-1", "tanh", None).activations[-1].name
    'sigmoid'
    """
    if not SIZES.fullmatch(sizes):
        raise InputError(sentence(f"%%{MAGIC}", "sizes such as 3-4-1", sizes, "write the widths with hyphens"))
    widths, names = tuple(map(int, sizes.split("-"))), tuple(hidden.split(","))
    return network_of(widths, names[0] if len(names) == 1 else names, output)


def check_cell(line: str, cell: str, names: dict[str, Any]) -> NumpyReport:
    """Judge the function that a cell has defined in `names`.

    Args:
      line: the arguments of the magic.
      cell: the source of the cell.
      names: the namespace in which it has run.

    Raises:
      InputError: for a wrong line, and for a cell without a function.

    >>> cell = "def backward(params, X, Y):\\n    return {'W1': 0 * params['W1'], 'b1': 0 * params['b1']}"
    >>> names = {}
    >>> exec(cell, names)
    >>> check_cell("3-1", cell, names).passed
    False
    """
    options = _parser().parse_args(shlex.split(line))
    net = network_of_line(options.sizes, options.hidden, options.output)
    functions = [node.name for node in ast.parse(cell).body if isinstance(node, ast.FunctionDef)]
    name = options.function or (functions[-1] if functions else "")
    if not callable(names.get(name)):
        remedy = "define it in this cell: def backward(params, X, Y)"
        raise InputError(sentence(f"%%{MAGIC}", "a function in the cell", name or "none", remedy))
    objective = Objective(options.cost, l2=options.l2)
    with redirect_stdout(StringIO()):
        report = verify_numpy(names[name], net=net, objective=objective)
    if options.report:
        names[options.report] = report
    return report


def load_ipython_extension(shell: Any) -> None:
    """Register the magic: what `%load_ext jaxmlp.notebook` calls."""
    from IPython.core.error import UsageError

    def check_backprop(line: str, cell: str) -> None:
        """Run the cell and judge its backward pass in NumPy; `%%check_backprop --help` lists the options."""
        if not shell.run_cell(cell).success:
            return  # the error of the cell is already on the screen
        try:
            print(check_cell(line, cell, shell.user_ns))
        except InputError as error:
            raise UsageError(str(error)) from None  # one line and no traceback

    shell.register_magic_function(check_backprop, magic_kind="cell", magic_name=MAGIC)
