"""Arrays in, arrays out: every source of examples ends as a `Dataset` of raw rows."""

from jaxmlp.data.dataset import Dataset as Dataset
from jaxmlp.data.dataset import Part as Part
from jaxmlp.data.preprocessing import Preprocessing as Preprocessing
from jaxmlp.data.sources import load as load
from jaxmlp.data.stream import StreamedDataset as StreamedDataset
from jaxmlp.data.stream import stream as stream
