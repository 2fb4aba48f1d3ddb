"""TensorBoard: the metrics of every epoch as scalars, written during the run."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jaxmlp.errors import InputError, sentence
from jaxmlp.training.callbacks import ReportCallback
from jaxmlp.training.state import Report

FOLDER = "tensorboard"


@contextmanager
def scalars(folder: Path) -> Iterator[ReportCallback]:
    """Yield a callback of `fit` that writes the metrics of each report into `folder`/tensorboard.

    Raises:
      InputError: without the package tensorboardX.
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        remedy = 'install it with pip install "jaxmlp[all]"'
        raise InputError(sentence("--tensorboard", "the package tensorboardX", "none", remedy)) from None
    writer = SummaryWriter(str(folder / FOLDER))

    def write(report: Report) -> None:
        metrics = report._asdict() | (report.metrics or {})
        for name, value in metrics.items():
            # the epoch is the axis of every scalar
            if isinstance(value, int | float) and name not in ("epoch", "step"):
                writer.add_scalar(name, value, report.epoch)
        writer.flush()  # TensorBoard can show the run while it goes on

    try:
        yield ReportCallback(write)
    finally:
        writer.close()
