"""Ids on disk: a file that is mapped into memory, so that only what is looked at is read.

The file holds the ids as they are, then JSON with what they are, then its length and checksums: what was cut off or
damaged is found out when it is opened. The checksums guard against accidents only, for anybody can compute them. So a
file that other users may have written is not read at all.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import stat
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from minidl import durable, ownership
from minidl.inputs import Array

MAGIC = b"minidl ids 1"
DTYPES = "|u1", "<u2", "<u4", "<u8"
TAIL = struct.Struct("<QI12s")  # the length of the JSON, its checksum, MAGIC
PIECE = 1 << 20  # bytes that are read at a time


class MappedIds(np.memmap):
    """The ids of a file [N], read where they are looked at; its views are plain arrays in all but name.

    `checksum` is that of all ids, and was proved when the file was opened.
    """

    checksum: int
    inode: tuple[int, int]  # of the file, with its device


def write(path: Path, parts: Iterable[Array], dtype: np.dtype[Any], facts: Callable[[], dict[str, Any]]) -> None:
    """Write ids, part by part, and then what they are; whoever reads meanwhile has the old file, or none.

    Args:
        path: where to; its folder is there.
        parts: arrays of ids [n].
        dtype: of the ids in the file.
        facts: is called after the last part, and returns plain data.

    Raises:
        OSError: with what to do, where the disk is full, say; nothing is left of the new file then.
    """
    durable.replace(path, written(parts, dtype, facts))
    if os.name == "posix" and (mode := path.stat().st_mode) & ownership.OTHERS_WRITE:
        path.chmod(stat.S_IMODE(mode) & ~ownership.OTHERS_WRITE)


def written(parts: Iterable[Array], dtype: np.dtype[Any], facts: Callable[[], dict[str, Any]]) -> Iterator[Any]:
    """The bytes of the file."""
    count = checksum = 0
    for part in parts:
        data = np.ascontiguousarray(part, dtype.newbyteorder("<")).view(np.uint8).data
        count, checksum = count + len(part), zlib.crc32(data, checksum)
        yield data
    about = {"dtype": dtype.newbyteorder("<").str, "count": count, "checksum": checksum, "facts": facts()}
    told = json.dumps(about, ensure_ascii=False).encode("utf-8", "surrogateescape")
    yield told + TAIL.pack(len(told), zlib.crc32(told), MAGIC)


def read(path: Path) -> tuple[MappedIds, dict[str, Any]] | None:
    """Return the ids of a file and what they are; None where there is no such file, or not a whole one of this user.

    The checksum of the ids is only noted here: `proved` compares it.
    """
    try:
        with open(path, "rb", opener=without_waiting) as file:
            info = os.fstat(file.fileno())
            if not stat.S_ISREG(info.st_mode) or ownership.reason(info) is not None:
                return None
            size = info.st_size
            file.seek(max(0, size - TAIL.size))
            length, checksum, magic = TAIL.unpack(file.read(TAIL.size))
            if magic != MAGIC or length > size - TAIL.size:
                return None
            file.seek(size - TAIL.size - length)
            text = file.read(length)
            if zlib.crc32(text) != checksum:
                return None
            match json.loads(text.decode("utf-8", "surrogateescape")):
                case {"dtype": str(name), "count": int(count), "checksum": int(expected), "facts": dict(facts)}:
                    dtype = np.dtype(DTYPES[DTYPES.index(name)])
                    if type(count) is not int or count * dtype.itemsize != size - TAIL.size - length:
                        return None
                    ids = MappedIds(file, dtype, "r", shape=(count,))
                case _:
                    return None
    except (OSError, struct.error, ValueError, RecursionError):
        return None
    ids.checksum, ids.inode = expected, (info.st_dev, info.st_ino)
    return ids, facts


def without_waiting(path: str, flags: int) -> int:
    """Open a file; of a pipe without a writer, too, where the system can."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def proved(path: Path, ids: MappedIds, below: int) -> bool:
    """Whether the ids in the file have their checksum, and all are less than `below`.

    They are read for it, and not kept: a second for a gigabyte.
    """
    left, checksum = ids.nbytes, 0
    with contextlib.suppress(OSError), open(path, "rb", buffering=0) as file:
        info = os.fstat(file.fileno())
        if (info.st_dev, info.st_ino) != ids.inode:
            return False
        while left and (data := file.read(min(left, PIECE))):
            left, checksum = left - len(data), zlib.crc32(data, checksum)
            if len(data) % ids.itemsize or np.frombuffer(data, ids.dtype).max() >= below:
                return False
    return not left and checksum == ids.checksum


def whole_of(array: Any) -> MappedIds | None:
    """The ids of the file that an array is a view of."""
    while isinstance(array, np.ndarray):
        if isinstance(array, MappedIds) and isinstance(array.base, mmap.mmap):
            return array
        array = array.base
    return None
