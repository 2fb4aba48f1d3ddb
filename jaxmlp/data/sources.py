"""The former home of `load` and `load_rows`, for programs that import them from here."""

from jaxmlp.data.load import load as load
from jaxmlp.data.load import load_rows as load_rows
