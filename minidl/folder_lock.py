"""`FolderLock`: exclusive use of a folder by one process, with an operating-system lock on a file in it.

The lock ends with its holder, however that ends: a crash or SIGKILL leaves the file `.lock`, but no lock on it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import re
import time
import warnings
import weakref
from pathlib import Path

from minidl.errors import ArgumentError

NAME = ".lock"
ATTEMPTS = 100  # to lock a folder that other processes keep removing
BUSY = {errno.EAGAIN, errno.EACCES, errno.EDEADLK, getattr(errno, "EDEADLOCK", errno.EDEADLK)}
LOCKED_BYTE = 2**30  # on Windows: after the text, which others could not read otherwise


class FolderLock:
    """Hold a folder for this process while the context lasts; contexts of the same object may be nested.

    The folder is created if it does not exist. Where it cannot be created or written to, the context is entered
    without the lock, for whoever writes there gets the error. On a file system without locks, a warning says so.

    Args:
        folder: the folder to hold.
        hint: what to do when another process holds it, a sentence for the error message.

    Attributes:
        remove_empty: whether an empty folder is removed at the end; True if this lock created it.
        lost: whether the folder vanished, and another process holds the one that took its name.

    Raises:
        ArgumentError: on entering, if another process or another `FolderLock` holds the folder.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, minidl.folder_lock.FolderLock(folder) as lock:
        ...     lock.is_current()
        True
    """

    def __init__(
        self, folder: str | os.PathLike[str], hint: str = "Wait for it, stop it, or choose another folder."
    ) -> None:
        self.folder, self.hint = Path(folder), hint
        self.path = self.folder / NAME
        self.handle: int | None = None
        self.depth = 0
        self.remove_empty = self.lost = self.unsupported = False

    def __enter__(self) -> FolderLock:
        if not self.depth:
            try:
                with contextlib.suppress(OSError):  # the first write to the folder raises it, with what to do
                    self.acquire()
            except BaseException:
                self.close()
                raise
        self.depth += 1
        return self

    def __exit__(self, *_: object) -> None:
        self.depth -= 1
        if not self.depth:
            self.release()

    def is_current(self) -> bool:
        """Return whether the folder is still the one that was locked."""
        if self.handle is None:
            return self.unsupported and self.folder.is_dir()
        return is_at(self.handle, self.path)

    def acquire(self) -> None:
        """Lock the folder, or lock it again after it vanished.

        Raises:
            ArgumentError: if it is in use. OSError: if the folder or the file cannot be created.
        """
        self.close()
        self.unsupported = False
        for _ in range(ATTEMPTS):
            self.create_folder()
            try:
                handle = open_file(self.path)
            except FileNotFoundError:  # the end of another run has removed the folder since
                continue
            try:
                taken = self.try_lock(handle)
                if taken and is_at(handle, self.path):
                    self.handle, self.lost = handle, False
                    HELD.add(self)
                    write_holder(handle)
                    return
                holder = "" if taken else read_holder(handle)
            finally:
                if self.handle is None:
                    os.close(handle)
            if self.unsupported:
                return
            if not taken:
                self.lost = True
                raise ArgumentError(f"{self.folder} is in use by another run{holder}. {self.hint}")
        raise ArgumentError(f"{self.folder} is in use by other runs. {self.hint}")

    def create_folder(self) -> None:
        """Create the folder if it does not exist, and remember that."""
        try:
            self.folder.mkdir()
            self.remove_empty = True
        except FileNotFoundError:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self.create_folder()
        except FileExistsError:
            if not self.folder.is_dir():
                raise

    def try_lock(self, handle: int) -> bool:
        """Lock the file without waiting; return False where another one holds it, or there are no locks."""
        try:
            lock_file(handle)
            return True
        except OSError as error:
            if error.errno not in BUSY:
                self.unsupported = True
                warnings.warn(
                    f"{self.folder}: the file system has no locks ({error.strerror}). Make sure that no other run "
                    f"uses this folder.",
                    stacklevel=5,
                )
            return False

    def release(self) -> None:
        """Remove the file while it is held, and unlock."""
        current = self.handle is not None and is_at(self.handle, self.path)
        if current and os.name == "posix":  # whoever waits for this file notices that it has lost its name
            remove(self.path)
        self.close()
        if current and os.name != "posix":  # an open file cannot be removed
            remove(self.path)
        if self.remove_empty and not self.lost:
            with contextlib.suppress(OSError):
                self.folder.rmdir()
        self.remove_empty = False

    def close(self) -> None:
        """Unlock, and leave the file."""
        handle, self.handle = self.handle, None
        HELD.discard(self)
        if handle is not None:
            os.close(handle)

    def leave_to_parent(self) -> None:
        """Drop the lock in a forked child, or it would outlive the parent."""
        self.close()
        self.remove_empty = False


HELD: weakref.WeakSet[FolderLock] = weakref.WeakSet()


def drop_in_child() -> None:
    """Leave all locks to the parent, in a forked child; closing a copy of its descriptors does not unlock."""
    for lock in list(HELD):
        lock.leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=drop_in_child)


def open_file(path: Path) -> int:
    """Open the file for reading and writing, for reading alone where it belongs to another user."""
    more = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | more, 0o666)
    except PermissionError as error:
        try:
            return os.open(path, os.O_RDONLY | more)
        except FileNotFoundError:  # a folder that may not be written to
            raise error from None


def lock_file(handle: int) -> None:
    """Lock an open file without waiting."""
    if os.name == "posix":
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:
        import msvcrt

        os.lseek(handle, LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]


def is_at(handle: int, path: Path) -> bool:
    """Return whether a path still leads to the file that is open, and not to a newer one or to none."""
    try:
        return os.path.samestat(os.fstat(handle), os.lstat(path))
    except OSError:
        return False


def write_holder(handle: int) -> None:
    """Write into the file which process holds it."""
    with contextlib.suppress(OSError):  # on a full disk it is locked all the same
        os.ftruncate(handle, 0)
        os.lseek(handle, 0, os.SEEK_SET)
        os.write(handle, f"{os.getpid()} {platform.node()}\n".encode("ascii", "replace"))


def read_holder(handle: int) -> str:
    """Return which process holds the file, in brackets; nothing where the file does not say."""
    for _ in range(20):  # it may be locked, and not be written yet
        with contextlib.suppress(OSError):
            os.lseek(handle, 0, os.SEEK_SET)
            found = re.fullmatch(r"(\d{1,12}) ([\w.-]*)\n", os.read(handle, 300).decode("ascii", "replace"))
            if found:
                pid, host = found.groups()
                here = host == platform.node()
                if here and int(pid) == os.getpid():
                    return " (this process)"
                return f" (process {pid})" if here else f" (process {pid} on {host})"
        time.sleep(0.01)
    return ""


def remove(path: Path) -> None:
    """Remove a file if possible."""
    with contextlib.suppress(OSError):
        path.unlink()
