"""Files that are there whole or not at all: `replace` writes one so that a crash at any instant leaves old or new.

The new bytes go to a temporary file in the same folder, are flushed to the disk, and only then take the name over; at
last the folder is flushed, where the system can, so that the name survives as well.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PREFIX = ".minidl-"  # of temporary files
PIECE = 2**24  # bytes that are written at once
HINTS = {
    errno.ENOSPC: "free some space, or name another place",
    errno.EDQUOT: "free some space, or name another place",
    errno.EFBIG: "the file system takes no file of that size: name another place",
    errno.ENOENT: "make the folder first, or name another place",
    errno.ENOTDIR: "its parent is no folder: name another place",
    errno.EISDIR: "a file is expected, this is a folder",
    errno.EROFS: "name another place",
    errno.EACCES: "allow writing to the folder, or name another place",
    errno.EPERM: "allow writing to the folder, or name another place",
    errno.ENAMETOOLONG: "choose a shorter name",
}


def replace(path: Path, parts: Iterable[Any]) -> None:
    """Write the parts, one after the other, as the file `path`; a file that was there stays until they are complete.

    Args:
        path: where to.
        parts: bytes, or memoryviews of bytes.

    Raises:
        OSError: with what to do; the old file is there then. (Or the new one, where its name could not be flushed.)

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "notes.txt"
        >>> minidl.durable.replace(path, [b"one ", b"two"])
        >>> path.read_bytes()
        b'one two'
    """
    try:
        target = Path(os.path.realpath(path))  # a link stays one
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not target.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, "The folder does not exist")
        _replace(target, parts)
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror or error}: {hint(error)}", str(path)) from error


def _replace(path: Path, parts: Iterable[Any]) -> None:
    temporary = path.parent / f"{PREFIX}{secrets.token_hex(8)}"
    mode = mode_of(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    handle = os.open(temporary, flags, 0o666 if mode is None else mode)
    try:
        try:
            if mode is not None and hasattr(os, "fchmod") and stat.S_IMODE(os.fstat(handle).st_mode) != mode:
                os.fchmod(handle, mode)
            for part in parts:
                write(handle, part)
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(path.parent)


def mode_of(path: Path) -> int | None:
    """The permissions of a file that is there, which the new one gets; a pipe or a device is nothing to replace."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EEXIST, "This is a device or a pipe, and no file")
    return stat.S_IMODE(mode)


def try_out(folder: Path) -> None:
    """Make a folder if need be, and a file in it that is taken away again: to find out before the work, not after."""
    temporary = folder / f"{PREFIX}{secrets.token_hex(8)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        os.unlink(temporary)
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror}: {hint(error)}", str(folder)) from error


def hint(error: OSError) -> str:
    """What to do."""
    return HINTS.get(error.errno or 0, "name another place")


def write(handle: int, part: Any) -> None:
    """All of a part, however little the system takes at a time."""
    view, at = memoryview(part), 0
    while at < len(view):
        at += os.write(handle, view[at : at + PIECE])


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, where the system can."""
    if os.name == "posix":
        try:
            handle = os.open(folder, os.O_RDONLY)
        except PermissionError:  # it may be written to, but not be read
            return
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EBADF, errno.ENOTSUP):  # this file system cannot
                raise
        finally:
            os.close(handle)


def sweep(folder: Path) -> None:
    """Remove the temporary files of writers that were killed, in a folder that nobody else writes to."""
    for path in folder.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            path.unlink()
