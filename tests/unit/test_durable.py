"""Files that are there whole or not at all: every crash, every full disk, every folder that must not be written."""

import errno
import os
import signal
import stat
from collections import Counter
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

import minidl
from minidl import checkpoints, durable
from minidl.durable import replace
from tests.waiting import waiting

OPENS, WRITES, SYNCS, MOVES, UNLINKS = os.open, os.write, os.fsync, os.replace, os.unlink


# -- crashes --------------------------------------------------------------------------------------


class Recorder:
    """The calls of a save that change the disk, in their order, while they are carried out."""

    def __init__(self, monkeypatch):
        self.log, self.names, self.opened = [], {}, []
        for name in "open", "write", "fsync", "replace", "unlink":
            monkeypatch.setattr(os, name, getattr(self, name))

    def open(self, path, flags, *mode, **options):
        handle = OPENS(path, flags, *mode, **options)
        self.names[handle] = str(path)
        self.opened.append(str(path))
        if flags & os.O_CREAT:
            self.log.append(("create", str(path)))
        return handle

    def write(self, handle, data):
        count = WRITES(handle, data)
        self.log.append(("write", self.names[handle], bytes(data[:count])))
        return count

    def fsync(self, handle):
        SYNCS(handle)
        self.log.append(("fsync", self.names[handle]))

    def replace(self, source, target):
        MOVES(source, target)
        self.log.append(("rename", str(source), str(target)))

    def unlink(self, path, **options):
        UNLINKS(path, **options)
        self.log.append(("unlink", str(path)))


def disks_after(log, before):
    """What may be on the disk when the machine stops after the log: {path: bytes}, for every way of losing what was
    not synced: changes of names from some point on, and all or half of the bytes behind the last fsync."""
    files = {k: (data, data) for k, data in enumerate(before.values())}  # by number: (written, synced)
    durable_names, names = dict(zip(before, files, strict=True)), dict(zip(before, files, strict=True))
    pending = []
    for entry in log:
        match entry:
            case "create", path:
                names[path] = len(files)
                files[len(files)] = (b"", b"")
                pending.append(dict(names))
            case "write", path, data:
                written, synced = files[names[path]]
                files[names[path]] = (written + data, synced)
            case "fsync", path if path in names:
                files[names[path]] = (files[names[path]][0],) * 2
            case "fsync", _:
                durable_names, pending = dict(names), []
            case "rename", source, target:
                names[target] = names.pop(source)
                pending.append(dict(names))
            case "unlink", path:
                del names[path]
                pending.append(dict(names))
    for seen in [durable_names, *pending]:
        for share in 0, 0.5, 1:
            yield {
                path: files[k][1]
                + files[k][0][len(files[k][1]) :][: int(share * (len(files[k][0]) - len(files[k][1])))]
                for path, k in seen.items()
            }


def lay(disk, folder):
    """Put a disk into an empty folder, under the same names."""
    for path in folder.iterdir():
        path.unlink()
    for path, data in disk.items():
        (folder / Path(path).name).write_bytes(data)


def net(seed):
    made = minidl.Sequential([minidl.LSTM(2, peephole=True), minidl.Dense(3)])
    made.build((None, 2), seed=seed)
    return made


def saved_twice(tmp_path, monkeypatch):
    """A model saved over another: (its path, an empty folder, the bytes before, the calls that changed them)."""
    folder, again = tmp_path / "a", tmp_path / "b"
    folder.mkdir(), again.mkdir()
    path = folder / "model.npz"
    net(1).save(path)
    old = path.read_bytes()
    with monkeypatch.context() as patch:
        log = Recorder(patch).log
        net(2).save(path)
    return path, again, old, log


def test_a_crash_at_any_instant_leaves_the_old_model_or_the_new_one(tmp_path, monkeypatch):
    path, again, old, log = saved_twice(tmp_path, monkeypatch)
    new = path.read_bytes()
    kinds = [entry[0] for entry in log]
    assert kinds[0] == "create" and kinds[-3:] == ["fsync", "rename", "fsync"] and kinds.count("write") > 10
    seen = set()
    for count in range(len(log) + 1):
        for disk in disks_after(log[:count], {str(path): old}):
            lay(disk, again)
            minidl.load(again / "model.npz")
            seen.add((again / "model.npz").read_bytes())
            assert count < len(log) or (again / "model.npz").read_bytes() == new, "what was saved stays"
    assert seen == {old, new}


@pytest.mark.parametrize("missing", ["fsync of the file", "rename"])
def test_the_replay_finds_a_save_that_is_not_safe(missing, tmp_path, monkeypatch):
    path, again, old, log = saved_twice(tmp_path, monkeypatch)
    if missing == "rename":  # written in place
        log = [("create", str(path)), *((entry[0], str(path), *entry[2:]) for entry in log if entry[0] == "write")]
    else:
        log = [entry for entry in log if not (entry[0] == "fsync" and durable.PREFIX in entry[1])]
    outcomes = Counter()
    for count in range(len(log) + 1):
        for disk in disks_after(log[:count], {str(path): old}):
            lay(disk, again)
            outcomes[outcome(again / "model.npz")] += 1
    assert outcomes[minidl.ModelFormatError] > 0


def outcome(path):
    try:
        return type(minidl.load(path))
    except minidl.ModelFormatError as error:
        return type(error)


def trained(folder, epochs, **options):
    """A small training with a checkpoint a step."""
    x = np.random.default_rng(0).standard_normal((24, 3))
    checkpoint = minidl.Checkpoint(folder, **{"every": 1} | options)
    trainer = minidl.Trainer(minidl.Dense(2), minidl.MeanSquaredError(), callbacks=[checkpoint], quiet=True)
    trainer.fit(x, x[:, :2], epochs=epochs, batch_size=8, resume=True)
    return trainer


def test_a_crash_at_any_instant_leaves_a_checkpoint(tmp_path, monkeypatch):
    folder, again = tmp_path / "a", tmp_path / "b"
    again.mkdir()
    trained(folder, 1)
    before = {str(path): path.read_bytes() for path in sorted(folder.iterdir())}
    assert len(before) == 2
    with monkeypatch.context() as patch:
        log = Recorder(patch).log
        trained(folder, 2)
    assert [entry[0] for entry in log].count("unlink") == 4  # what is superseded, and the lock
    steps = set()
    for count in range(len(log) + 1):
        for disk in disks_after(log[:count], before):
            lay(disk, again)
            saved = minidl.Checkpoint(again).newest()
            steps.add(saved.facts["step"])
    assert steps == {3, 4, 5, 6}


# -- errors ---------------------------------------------------------------------------------------

FAULTS = {
    errno.ENOSPC: "No space left on device: free some space, or name another place",
    errno.EACCES: "Permission denied: allow writing to the folder, or name another place",
    errno.EROFS: "Read-only file system: name another place",
    errno.EDQUOT: "Disk quota exceeded: free some space, or name another place",
    errno.EIO: "Input/output error: name another place",
}


def error_of(call):
    try:
        call()
    except OSError as error:
        return error
    return None


@pytest.mark.parametrize("number", FAULTS, ids=errno.errorcode.get)
@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace"])
def test_a_fault_at_every_call_leaves_the_old_file_and_says_what_to_do(call, number, tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    net(1).save(path)
    old, original = path.read_bytes(), getattr(os, call)
    for turn in range(40):
        with monkeypatch.context() as patch:
            calls = iter(range(1000))

            def faulty(*args, turn=turn, calls=calls, **options):
                if next(calls) == turn:
                    raise OSError(number, os.strerror(number))
                return original(*args, **options)

            patch.setattr(os, call, faulty)
            error = error_of(lambda: net(2).save(path))
        if error is None:
            break
        assert (error.errno, error.strerror, error.filename) == (number, FAULTS[number], str(path))
        # only the fsync of the folder comes when the new file has its name already
        assert path.read_bytes() == old or (call in ("fsync", "open") and turn == 1)
        assert [p.name for p in tmp_path.iterdir()] == ["model.npz"]
    assert 0 < turn < 39


@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace"])
def test_a_checkpoint_that_cannot_be_written_leaves_the_older_one(call, tmp_path, monkeypatch):
    trained(tmp_path, 1)
    original = getattr(os, call)

    def full(*args, **options):
        if call != "open" or args[1] & os.O_CREAT:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        error = error_of(lambda: trained(tmp_path, 3))
    assert error.filename == str(tmp_path / "checkpoint-000000004.npz") and error.strerror == (
        "no checkpoint could be written, No space left on device: free some space, or name another place. "
        "The one before it, checkpoint-000000003.npz, is whole."
    )
    assert minidl.Checkpoint(tmp_path).newest().facts["step"] == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint-000000002.npz", "checkpoint-000000003.npz"]
    whole = trained(tmp_path.parent / "whole", 3)
    assert (trained(tmp_path, 3).net.W.value == whole.net.W.value).all()


def test_a_training_may_go_on_without_its_checkpoints(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    trained(tmp_path, 1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.warns(UserWarning, match=r"is whole\. The training goes on without"):
            trainer = trained(tmp_path, 3, on_error="continue")
    assert trainer.step == 9 and minidl.Checkpoint(tmp_path).newest().facts["step"] == 3


def test_a_full_disk_is_told_once_after_ctrl_c(tmp_path, monkeypatch):
    class Press(minidl.Callback):
        def on_step_end(self, trainer):
            signal.raise_signal(signal.SIGINT)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    checkpoint, x = minidl.Checkpoint(tmp_path, on_error="continue"), np.ones((8, 2))
    trainer = minidl.Trainer(minidl.Dense(1), minidl.MeanSquaredError(), callbacks=[Press(), checkpoint], quiet=True)
    with pytest.warns(UserWarning, match="No space left") as caught:
        history = trainer.fit(x, x[:, 0], validation=(x, x[:, 0]))
    assert len(caught) == 1 and history.reason == "interrupted by Ctrl-C" and len(history) == 0


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        with pytest.raises(PermissionError, match="allow writing to the folder"):
            net(1).save(tmp_path / "model.npz")
        with pytest.raises(PermissionError, match="allow writing to the folder"):
            trained(tmp_path, 1)
    finally:
        tmp_path.chmod(stat.S_IRWXU)


def test_folder_that_vanishes_is_created_again(tmp_path):
    class Remove(minidl.Callback):
        def on_step_end(self, trainer):
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()

    folder = tmp_path / "run"
    x = np.ones((8, 2))
    callbacks = [Remove(), minidl.Checkpoint(folder, every=1)]
    trainer = minidl.Trainer(minidl.Dense(1), minidl.MeanSquaredError(), callbacks=callbacks, quiet=True)
    with pytest.warns(UserWarning, match="run vanished while the training ran, and was created again"):
        trainer.fit(x, x[:, 0], batch_size=4)
    assert [path.name for path in folder.iterdir()] == ["checkpoint-000000002.npz"]


def test_a_folder_whose_parent_is_a_file(tmp_path):
    (tmp_path / "file").touch()
    for call in (lambda: net(1).save(tmp_path / "file" / "model.npz"), lambda: trained(tmp_path / "file" / "run", 1)):
        with pytest.raises(OSError, match="name another place"):
            call()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_a_pipe_is_not_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(FileExistsError, match="This is a device or a pipe, and no file: name another place"):
            net(1).save(path)
        assert not stat.S_ISREG(path.stat().st_mode)
    assert [p.name for p in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.skipif(os.name != "posix", reason="links are rare elsewhere, and permissions others")
def test_a_link_stays_one(tmp_path):
    (tmp_path / "there").mkdir()
    net(1).save(tmp_path / "there" / "model.npz")
    (tmp_path / "link").symlink_to(Path("there") / "model.npz")
    (tmp_path / "dangling").symlink_to(Path("there") / "new.npz")
    (tmp_path / "round").symlink_to("round")
    for name, target in ("link", "model.npz"), ("dangling", "new.npz"):
        net(2).save(tmp_path / name)
        assert (tmp_path / name).is_symlink()
        assert (minidl.load(tmp_path / "there" / target)["lstm"].Wx.value == net(2)["lstm"].Wx.value).all()
    with pytest.raises(OSError, match=r"symbolic links: name another place: '.*round'"):
        net(2).save(tmp_path / "round")
    assert sorted(p.name for p in (tmp_path / "there").iterdir()) == ["model.npz", "new.npz"]


@pytest.mark.skipif(os.name != "posix", reason="links are rare elsewhere, and permissions others")
@pytest.mark.parametrize("mode", [0o600, 0o664, 0o640])
def test_a_file_keeps_its_permissions_and_never_has_others(mode, tmp_path, monkeypatch):
    path, seen = tmp_path / "model.npz", set()
    net(1).save(path)
    path.chmod(mode)

    def watched(handle, data):
        seen.add(stat.S_IMODE(os.fstat(handle).st_mode))
        return WRITES(handle, data)

    def opened(path, flags, *permissions, **options):
        if flags & os.O_CREAT:
            assert not permissions[0] & ~mode, "from the first instant on"
        return OPENS(path, flags, *permissions, **options)

    monkeypatch.setattr(os, "write", watched)
    monkeypatch.setattr(os, "open", opened)
    net(2).save(path)
    assert stat.S_IMODE(path.stat().st_mode) == mode and seen == {mode}


@pytest.mark.skipif(os.name != "posix", reason="a folder cannot be opened there")
def test_a_folder_that_may_be_written_to_and_not_read(tmp_path, monkeypatch):
    def opened(path, flags, *mode, **options):
        if Path(path).is_dir():
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return OPENS(path, flags, *mode, **options)

    monkeypatch.setattr(os, "open", opened)
    net(1).save(tmp_path / "model.npz")
    assert (minidl.load(tmp_path / "model.npz")["lstm"].Wx.value == net(1)["lstm"].Wx.value).all()


def test_short_writes_are_gone_on_with(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "write", lambda handle, data: WRITES(handle, data[:7]))
    replace(tmp_path / "file", [b"a" * 100, b"", b"b" * 20])
    assert (tmp_path / "file").read_bytes() == b"a" * 100 + b"b" * 20


def test_a_checkpoint_costs_little(tmp_path, monkeypatch):
    """Not the time, which a test cannot judge, but the work: one file, written once, nothing read."""
    with monkeypatch.context() as patch:
        recorder = Recorder(patch)
        trainer = trained(tmp_path, 1, every=timedelta(hours=1))
    (path,) = tmp_path.iterdir()
    lock = str(tmp_path / ".lock")
    assert recorder.log[0] == ("create", lock) and recorder.log[-1] == ("unlink", lock)
    recorder.log = [entry for entry in recorder.log if entry[1] != lock]
    assert path.name == "checkpoint-000000003.npz" and trainer.step == 3 and checkpoints.read(path).facts["step"] == 3
    kinds = [entry[0] for entry in recorder.log]
    tried, (_, temporary), *writes = recorder.log[0], recorder.log[2], *recorder.log[3:-3]
    assert kinds == ["create", "unlink", "create", *["write"] * len(writes), "fsync", "rename", "fsync"]
    assert {entry[1] for entry in writes} == {temporary} and sum(len(entry[2]) for entry in writes) == len(
        path.read_bytes()
    )
    assert recorder.opened == [lock, tried[1], temporary, str(tmp_path)]


def test_no_temporary_file_is_taken_for_another_thing(tmp_path):
    (tmp_path / f"{durable.PREFIX}left").write_bytes(b"half of a checkpoint")
    trained(tmp_path, 1)
    assert minidl.Checkpoint(tmp_path).newest().facts["step"] == 3


# -- leftovers of killed writers ------------------------------------------------------------------

WRITER = """
import pathlib, sys
from minidl import durable

def parts():
    yield b"half"
    print("ready", flush=True)
    sys.stdin.readline()
    yield b" and half"

durable.replace(pathlib.Path(sys.argv[1]), parts())
"""


def leftovers(folder):
    return [path for path in folder.iterdir() if path.name.startswith(durable.PREFIX)]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no locks of this kind: leftovers stay for an hour")
def test_save_removes_the_leftovers_of_killed_writers_and_no_others(tmp_path):
    with waiting(WRITER, tmp_path / "killed.npz") as killed, waiting(WRITER, tmp_path / "living.npz") as living:
        killed.kill()
        killed.wait()
        assert len(leftovers(tmp_path)) == 2
        net(1).save(tmp_path / "model.npz")
        (left,) = leftovers(tmp_path)  # that of the living one
        replace(left.parent / "notes.txt", [b"again"])
        living.communicate("\n")
        assert living.returncode == 0 and not leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["living.npz", "model.npz", "notes.txt"]
    assert (tmp_path / "living.npz").read_bytes() == b"half and half"


def test_save_within_another_save_removes_nothing(tmp_path):
    def parts():
        yield b"one"
        replace(tmp_path / "other", [b"other"])  # while this file is written
        yield b" two"

    replace(tmp_path / "file", parts())
    assert (tmp_path / "file").read_bytes() == b"one two" and (tmp_path / "other").read_bytes() == b"other"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("name", ["0123456789abcdef", "ffffffff-0123456789abcdef"])
def test_temporary_file_of_another_host_is_a_leftover_after_an_hour(name, tmp_path):
    path = tmp_path / f"{durable.PREFIX}{name}"
    path.write_bytes(b"half")
    replace(tmp_path / "file", [b"whole"])
    assert path.exists()
    os.utime(path, (0, path.stat().st_mtime - durable.STALE_SECONDS - 60))
    replace(tmp_path / "file", [b"whole"])
    assert not path.exists()


@pytest.mark.skipif(os.name != "posix", reason="Windows has no locks of this kind")
def test_file_that_is_taken_for_a_leftover_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    import fcntl

    lock, stolen = fcntl.flock, []

    def late(handle, how):
        if not stolen:
            stolen.extend(leftovers(tmp_path))
            stolen[0].unlink()
        lock(handle, how)

    monkeypatch.setattr(fcntl, "flock", late)
    replace(tmp_path / "file", [b"whole"])
    assert stolen and [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"whole")]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no locks of this kind")
def test_without_locks_a_leftover_stays_for_an_hour(tmp_path, monkeypatch):
    import fcntl

    def none(handle, how):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", none)
    path = tmp_path / f"{durable.host_prefix()}left"
    path.write_bytes(b"half")
    replace(tmp_path / "file", [b"whole"])
    assert path.exists() and (tmp_path / "file").read_bytes() == b"whole"


def test_links_and_folders_with_such_a_name_are_left_alone(tmp_path):
    (tmp_path / f"{durable.host_prefix()}folder").mkdir()
    if os.name == "posix":
        (tmp_path / "there").write_bytes(b"there")
        (tmp_path / f"{durable.host_prefix()}link").symlink_to("there")
        os.mkfifo(tmp_path / f"{durable.host_prefix()}pipe")
    before = {path.name for path in tmp_path.iterdir()}
    replace(tmp_path / "file", [b"whole"])
    assert {path.name for path in tmp_path.iterdir()} == before | {"file"}


# -- files that are read-only ---------------------------------------------------------------------


def test_read_only_file_is_not_replaced(tmp_path):
    path = tmp_path / "model.npz"
    net(1).save(path)
    old = path.read_bytes()
    path.chmod(stat.S_IRUSR | stat.S_IRGRP)
    for call in net(2).save, durable.try_replace:
        with pytest.raises(PermissionError, match="read-only: make it writable, or name another file"):
            call(path)
    assert path.read_bytes() == old and not leftovers(tmp_path)
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    net(2).save(path)
    assert path.read_bytes() != old
