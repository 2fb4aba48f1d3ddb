"""Data sets: every source of examples becomes a `Dataset` of raw rows and their targets."""

from jaxmlp.data.dataset import Dataset as Dataset
from jaxmlp.data.dataset import Part as Part
from jaxmlp.data.load import load as load
from jaxmlp.data.load import load_rows as load_rows
from jaxmlp.data.preprocessing import Preprocessing as Preprocessing
from jaxmlp.data.rows import Columns as Columns
from jaxmlp.data.streaming.dataset import StreamedDataset as StreamedDataset
from jaxmlp.data.streaming.dataset import stream as stream
from jaxmlp.lazy_modules import lazy_modules as _lazy_modules

__getattr__, __dir__ = _lazy_modules(__name__)
