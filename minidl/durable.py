"""Files that are there whole or not at all: `replace` writes one so that a crash at any instant leaves old or new.

The new bytes go to a temporary file in the same folder, are flushed to the disk, and only then take the name over; at
last the folder is flushed, where the system can, so that the name survives as well.

A process that is killed meanwhile leaves its temporary file; the next save into the folder removes it. A living writer
holds a lock of the operating system on its temporary file, so that a file without one is a leftover. Where that cannot
be known (the file comes from another host or container, or the system has no such locks), it is one after an hour.
"""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import secrets
import stat
import time
import zlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PREFIX = ".minidl-"  # of temporary files
STALE_SECONDS = 3600.0  # after which an unchanged temporary file is a leftover, whoever writes it
READ_ONLY = "The file is read-only"
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
        _replace(check_target(path), parts)
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror or error}: {hint(error)}", str(path)) from error


def _replace(path: Path, parts: Iterable[Any]) -> None:
    mode = mode_of(path)
    remove_stale(path.parent)
    temporary, handle = create(path.parent, 0o666 if mode is None else mode)
    try:
        try:
            if mode is not None and hasattr(os, "fchmod") and stat.S_IMODE(os.fstat(handle).st_mode) != mode:
                os.fchmod(handle, mode)
            for part in parts:
                write(handle, part)
            os.fsync(handle)
            if fcntl is not None:  # while the lock is held
                os.replace(temporary, path)
        finally:
            os.close(handle)
        if fcntl is None:  # Windows renames no open file
            os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(path.parent)


def create(folder: Path, mode: int) -> tuple[Path, int]:
    """Create a temporary file, locked as long as it is open; returns its path and its descriptor."""
    while True:
        temporary = folder / f"{host_prefix()}{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        handle = os.open(temporary, flags, mode)
        if fcntl is None:
            return temporary, handle
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return temporary, handle
        os.close(handle)  # another process found it before it was locked, and removed it as a leftover


@cache
def host_prefix() -> str:
    """Return the beginning of the names of this host's temporary files."""
    return f"{PREFIX}{zlib.crc32(platform.node().encode('utf-8', 'surrogateescape')):08x}-"


def remove_stale(folder: Path) -> None:
    """Remove the temporary files of killed writers from a folder that other processes may be writing to."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(PREFIX) and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(OSError):
                    unlink_stale(Path(entry.path))


def unlink_stale(path: Path) -> None:
    """Remove a temporary file unless a living process may be writing it."""
    ours = fcntl is not None and path.name.startswith(host_prefix())
    decided = ours and unlink_unlocked(path)
    if not decided and time.time() - path.stat().st_mtime > STALE_SECONDS:
        os.unlink(path)


def unlink_unlocked(path: Path) -> bool:
    """Remove a temporary file of this machine unless its writer holds the lock; return False without locks.

    It is removed under the lock, so a writer that has not locked it yet finds it gone, and makes another.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(handle)
    return True


def mode_of(path: Path) -> int | None:
    """Return the permissions of a file that is there, which the new one gets, or None without such a file.

    Raises:
        OSError: for a pipe or a device, and for a file that is read-only: it would be replaced all the same.
    """
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EEXIST, "This is a device or a pipe, and no file")
    if not mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH) or not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, READ_ONLY)
    return stat.S_IMODE(mode)


def try_out(folder: Path) -> None:
    """Make a folder if need be, and a file in it that is taken away again: to find out before the work, not after."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try_file(folder)
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror}: {hint(error)}", str(folder)) from error


def try_replace(path: Path) -> None:
    """Find out before the work, not after, whether `replace` could write this file.

    Raises:
        OSError: as `replace` raises it.
    """
    try:
        target = check_target(path)
        mode_of(target)
        try_file(target.parent)
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror or error}: {hint(error)}", str(path)) from error


def try_file(folder: Path) -> None:
    """Create a file and remove it again."""
    temporary, handle = create(folder, 0o600)
    os.close(handle)
    with contextlib.suppress(FileNotFoundError):  # another process took it for a leftover
        os.unlink(temporary)


def check_target(path: Path) -> Path:
    """Return what a path leads to, where that may be a file in a folder that is there."""
    target = Path(os.path.realpath(path))  # a link stays one
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "The folder does not exist")
    return target


def hint(error: OSError) -> str:
    """What to do."""
    if error.strerror == READ_ONLY:
        return "make it writable, or name another file"
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
