"""Files that are whole: what is at a path is the old content or the new one, whatever happens in between. And text for them."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}
REMEDY = "Make room or repair the place, and run the same command again."


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Gives a path to write to; what is written there is put on the disk and takes the place of `path` at the end.

    Raises:
        OSError: The disk is full, broken or read-only; `path` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):  # a broken disk may keep it; the error that counts is the first one
            temporary.unlink(missing_ok=True)
        raise


def storable(text: str) -> str:
    """Text that UTF-8 can have: a lone surrogate is written as an escape, which JSON reads as what it was."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
