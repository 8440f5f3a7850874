"""The container of minidl's files: an .npz in which every byte has one place, so that a reader can trust none of them.

A file is a zip archive of .npy members, as NumPy writes and reads them, in one form only: the members stored, one
right after the other from the first byte on, the directory behind them, nothing else. So a reader computes from names
and shapes what each byte of the headers has to be, and compares; the numbers themselves are held by a checksum.

        local header (30 bytes), name, .npy header, numbers          of each member
        entry (46 bytes), name                                       of each member: the directory
        end (22 bytes)
"""

from __future__ import annotations

import errno
import math
import os
import re
import stat
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any, NamedTuple

import numpy as np

from minidl.errors import ArgumentError, ModelFormatError
from minidl.inputs import Array

LOCAL = struct.Struct("<4s5H3L2H")
ENTRY = struct.Struct("<4s6H3L5H2L")
END = struct.Struct("<4s4H2LH")
VERSION, UTF8, STORED, MIDNIGHT, DAY_ONE = 20, 0x800, 0, 0, 0x21  # a zip begins its time on 1 January 1980
MOST_BYTES, MOST_MEMBERS, LONGEST_NAME = 2**32 - 2**24, 10_000, 1000  # 4 GiB, with room for the directory
NPY = re.compile(
    rb"\x93NUMPY\x01\x00(..)\{'descr': '([<|][a-z]\d)', 'fortran_order': False, 'shape': \(([\d, ]{0,200})\), \} *\n",
    re.DOTALL,
)
NPY_BYTES = 512  # room for the header of any array
MOST_ROWS = 2**16  # of an array without numbers: nothing in the file vouches for its other axes
DTYPES = {"<f4", "<f8", "<i4", "<i8", "<u4", "<u8", "|u1", "|b1"}


class Member(NamedTuple):
    """An array in a file."""

    name: str
    shape: tuple[int, ...]
    dtype: Any
    at: int  # where its .npy header begins
    header: bytes
    crc: int

    @property
    def nbytes(self) -> int:
        """Of its numbers."""
        return math.prod(self.shape) * int(self.dtype.itemsize)


def npy_header(shape: tuple[int, ...], dtype: Any) -> bytes:
    """What stands before the numbers of an array."""
    sizes = f"({shape[0]},)" if len(shape) == 1 else f"({', '.join(map(str, shape))})"
    text = f"{{'descr': '{dtype.str}', 'fortran_order': False, 'shape': {sizes}, }}"
    length = -(-(10 + len(text) + 1) // 64) * 64 - 10
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", length) + text.ljust(length - 1).encode() + b"\n"


def zip_headers(name: bytes, size: int, crc: int, at: int) -> tuple[bytes, bytes]:
    """The local header of a member and its entry in the directory, with its name."""
    both = VERSION, UTF8, STORED, MIDNIGHT, DAY_ONE, crc, size, size, len(name), 0
    local = LOCAL.pack(b"PK\x03\x04", *both)
    return local + name, ENTRY.pack(b"PK\x01\x02", VERSION, *both, 0, 0, 0, 0, at) + name


def archive(arrays: Mapping[str, Array]) -> Iterator[Any]:
    """The bytes of a file that holds the arrays, part by part; they depend on nothing but names and numbers.

    Raises:
        ArgumentError: for what the format does not hold: more than 4 GiB, other numbers than floats and integers.
    """
    directory, at = [], 0
    for name, values in arrays.items():
        a = np.array(values, order="C")  # a copy: the file is whole even if somebody trains the net meanwhile
        a = a.astype(a.dtype.newbyteorder("<"), copy=False)
        if a.dtype.str not in DTYPES:
            raise ArgumentError(f"A file of minidl holds floats, integers and bools, got {name!r} of {a.dtype}.")
        if is_huge_and_empty(a.shape):
            raise ArgumentError(f"A file of minidl holds no empty array as large as {a.shape}, got {name!r:.60}.")
        member, header = f"{name}.npy".encode(), npy_header(a.shape, a.dtype)
        size = len(header) + a.nbytes
        if at + size > MOST_BYTES or len(arrays) > MOST_MEMBERS or len(member) > LONGEST_NAME:
            raise ArgumentError(
                f"A file of minidl holds up to 4 GiB in up to {MOST_MEMBERS:,} arrays, whose names have up to "
                f"{LONGEST_NAME - 4} bytes; {name!r:.60} does not fit any more."
            )
        numbers = a.reshape(-1).view(np.uint8).data
        local, entry = zip_headers(member, size, zlib.crc32(numbers, zlib.crc32(header)), at)
        yield from (local, header, numbers)
        directory.append(entry)
        at += len(local) + size
    listed = b"".join(directory)
    yield listed + END.pack(b"PK\x05\x06", 0, 0, len(arrays), len(arrays), len(listed), at, 0)


def read_directory(file: IO[bytes], path: Any) -> dict[str, Member]:
    """What a file holds, without reading the numbers.

    Raises:
        ModelFormatError: where a byte of a header is not what `archive` would have written.
    """
    size = os.fstat(file.fileno()).st_size
    if size < END.size:
        raise no_model(path, "it is too short.")
    end = read_at(file, size - END.size, END.size)
    mark, _, _, count, _, listed, start, _ = END.unpack(end)
    if mark != b"PK\x05\x06":
        raise no_model(path, "it does not end as a zip archive does.", "or cut off")
    fits = count <= MOST_MEMBERS and listed <= count * (ENTRY.size + LONGEST_NAME) and start + listed + END.size == size
    if not fits or end != END.pack(mark, 0, 0, count, count, listed, start, 0):
        raise no_model(path, "its directory has another size than the file says.")
    directory, at, here = read_at(file, start, listed), 0, 0
    members: dict[str, Member] = {}
    for _ in range(count):
        if here + ENTRY.size > listed:
            raise no_model(path, "its directory is cut off.")
        fields = ENTRY.unpack_from(directory, here)
        crc, length, name_length = fields[7], fields[8], fields[10]
        name = directory[here + ENTRY.size : here + ENTRY.size + name_length]
        local, entry = zip_headers(name, length, crc, at)
        if directory[here : here + len(entry)] != entry or read_at(file, at, len(local)) != local:
            reason = "its members must be stored, one after the other, as minidl writes them."
            raise no_model(path, reason, "or written by another program, or damaged")
        text = name.decode("utf-8", "replace").removesuffix(".npy")
        beginning = read_at(file, at + len(local), min(NPY_BYTES, length))
        member = understand(text, beginning, length, crc, at + len(local))
        if member is None or f"{text}.npy".encode() != name or text in members:
            raise no_model(path, f"its member {text!r:.60} is no array, or stands there twice.")
        members[text] = member
        at, here = at + len(local) + length, here + len(entry)
    if (at, here) != (start, listed):
        raise no_model(path, "there is something between its members and its directory.")
    return members


def understand(name: str, beginning: bytes, length: int, crc: int, at: int) -> Member | None:
    """A member by its .npy header; None where that is not as `npy_header` writes it, or the length does not fit."""
    found = NPY.match(beginning)
    if not found or found[2].decode() not in DTYPES:
        return None
    shape = tuple(int(n) for n in found[3].replace(b",", b" ").split())
    member = Member(name, shape, np.dtype(found[2].decode()), at, npy_header(shape, np.dtype(found[2].decode())), crc)
    whole = beginning.startswith(member.header) and len(member.header) + member.nbytes == length
    return member if whole and not is_huge_and_empty(shape) else None


def is_huge_and_empty(shape: tuple[int, ...]) -> bool:
    """Whether an array has no numbers, though its other axes would take much memory in what is computed from it."""
    return 0 in shape and math.prod(size for size in shape if size) > MOST_ROWS


def read_into(file: IO[bytes], member: Member, out: Array) -> None:
    """Read the numbers of a member into an array of its shape and dtype.

    Raises:
        ModelFormatError: where the checksum is wrong.
    """
    whole = out.flags.c_contiguous and out.dtype == member.dtype
    buffer = out if whole else np.empty(member.shape, member.dtype)
    numbers = buffer.reshape(-1).view(np.uint8).data
    file.seek(member.at + len(member.header))
    came = file.readinto(numbers)  # type: ignore[attr-defined]  # of a file that is opened for reading
    if not whole:
        out[...] = buffer
    if came != member.nbytes or zlib.crc32(numbers, zlib.crc32(member.header)) != member.crc:
        raise ModelFormatError(f"the checksum of {member.name!r:.60} is wrong.")


def read_array(file: IO[bytes], member: Member) -> Array:
    """A member as an array; raises as `read_into`."""
    a = np.empty(member.shape, member.dtype.newbyteorder("="))
    read_into(file, member, a)
    if a.dtype == bool and a.view(np.uint8).max(initial=0) > 1:
        raise ModelFormatError(f"its {member.name!r:.60} has bools that are neither 0 nor 1.")
    return a


def read_at(file: IO[bytes], at: int, count: int) -> bytes:
    """Some bytes of a file; fewer where it ends."""
    file.seek(at)
    return file.read(count)


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A file to read, if it is one: a pipe would make the reader wait, a device has no end."""
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, "a file is expected, this is a folder", str(path))
    with open(path, "rb", opener=without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise no_model(path, "it is a device or a pipe.")
        yield file


def without_waiting(path: str, flags: int) -> int:
    """Open a file; a pipe without a writer, too, where the system can."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def no_model(path: str | os.PathLike[str], reason: str, doubt: str = "or damaged") -> ModelFormatError:
    """The error for a file that is no model, with its reason, on one line."""
    what = "is no model of minidl" + (f", {doubt}" if doubt else "")
    return about(path, f"{what}: {' '.join(reason.split())[:300]}")


def about(path: str | os.PathLike[str], words: str) -> ModelFormatError:
    """The error that says something of a file."""
    error = ModelFormatError(f"{path} {words}")
    error.path = path
    return error
