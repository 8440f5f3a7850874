"""Files that other users could have written: a cache is used only where nobody but its user can change it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def why_untrusted(path: Path) -> str | None:
    """Return why a folder is not to be used as a cache; None where only this user and root can change it.

    A folder that does not exist yet is trusted. So is every folder of a system without owners, such as Windows.
    """
    try:
        link, info = os.lstat(path), os.stat(path)
    except OSError:  # it is missing, or nothing can be read in it anyway
        return None
    return reason(info) or reason(link)


def reason(info: os.stat_result) -> str | None:
    """Return why a file or a folder is not trusted, by what the system knows of it."""
    if not is_mine(info):
        return "belongs to another user"
    if hasattr(os, "geteuid") and info.st_mode & OTHERS_WRITE and not stat.S_ISLNK(info.st_mode):
        return "can be written by other users"
    return None


def is_mine(info: os.stat_result) -> bool:
    """Whether a file belongs to this user or to root, who can change any file."""
    return not hasattr(os, "geteuid") or info.st_uid in (os.geteuid(), 0)
