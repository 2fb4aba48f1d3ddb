"""TensorBoard: the figures of every epoch as scalars, written as the run goes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jaxmlp.errors import InputError, sentence
from jaxmlp.training.state import OfReports, Report

FOLDER = "tensorboard"


@contextmanager
def scalars(folder: Path) -> Iterator[OfReports]:
    """Yield an observer of `fit` that writes each report's figures into `folder`/tensorboard.

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
        figures = report._asdict() | (report.scores or {})
        for name, value in figures.items():
            if isinstance(value, int | float) and name not in ("epoch", "step"):
                writer.add_scalar(name, value, report.epoch)
        writer.flush()

    try:
        yield OfReports(write)
    finally:
        writer.close()
