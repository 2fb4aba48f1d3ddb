"""Save the results elsewhere if the run folder is removed or moved during the training.

If the folder r is gone, results go into r-rescued, or r-rescued-2, … if that exists. If the parent folder is gone as
well, they go into a new temporary folder.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from jaxmlp.errors import InputError


class LostFolderError(InputError):
    """The run folder is gone. The message says where the results were saved."""

    exit_code = 1


class FolderGuard:
    """Detects that a folder was removed, moved or replaced since this object was made, and saves results elsewhere."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._status = os.stat(folder)  # device and inode: a new folder of the same name has another inode

    def is_gone(self) -> bool:
        """Whether the folder was removed, moved, or replaced."""
        try:
            return not os.path.samestat(os.stat(self.folder), self._status)
        except OSError:
            return True

    @contextmanager
    def save_elsewhere_if_gone(self, save: Callable[[Path], str]) -> Iterator[None]:
        """If the folder is gone at the end of the block, save the results in another folder.

        Args:
          save: writes the results into the folder that it gets, and returns a noun phrase that names them.

        Raises:
          LostFolderError: if the folder is gone, after the results are saved.
        """
        try:
            yield
        except OSError as error:
            # a ConnectionError comes from another process of the run, and has nothing to do with the folder
            if isinstance(error, ConnectionError) or not self.is_gone():
                raise
        if self.is_gone():
            rescue_folder = _make_rescue_folder(self.folder)
            saved = f"{save(rescue_folder)} is in {rescue_folder}"
            raise LostFolderError(f"the run folder {self.folder} was removed or moved during the training: {saved}")


def _make_rescue_folder(folder: Path) -> Path:
    """Make the first folder of NAME-rescued, NAME-rescued-2, … that does not exist."""
    for i in count(1):
        rescue_folder = folder.with_name(f"{folder.name}-rescued{f'-{i}' if i > 1 else ''}")
        try:
            rescue_folder.mkdir()
        except FileExistsError:
            continue
        except OSError:  # the parent folder is gone as well
            break
        return rescue_folder
    return Path(tempfile.mkdtemp(prefix="jaxmlp-rescued-"))
