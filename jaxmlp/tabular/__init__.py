"""Tables of mixed columns: what each column is, and how it becomes numbers that a network can read."""

from jaxmlp.lazy_modules import lazy_modules as _lazy_modules
from jaxmlp.tabular.encoder import TableEncoder as TableEncoder
from jaxmlp.tabular.options import TableOptions as TableOptions
from jaxmlp.tabular.table import Table as Table
from jaxmlp.tabular.table import as_table as as_table

__getattr__, __dir__ = _lazy_modules(__name__)
