"""`FolderLock`: one holder at a time, whatever happens to the folder, the process or its children."""

import errno
import os
import signal
import sys
from pathlib import Path

import pytest

import minidl
from minidl import ArgumentError, folder_lock
from minidl.folder_lock import NAME, FolderLock, open_file
from tests.waiting import waiting

HOLD = """
import sys
from minidl.folder_lock import FolderLock
with FolderLock(sys.argv[1]):
    print("ready", flush=True)
    sys.stdin.read()
"""


def end(process):
    process.communicate("")
    assert process.returncode == 0


def test_lock_refuses_a_second_process_and_names_the_first(tmp_path):
    process = waiting(HOLD, tmp_path / "run")
    words = (
        rf"run is in use by another run \(process {process.pid}\)\. Wait for it, stop it, or choose another folder\."
    )
    with pytest.raises(ArgumentError, match=words), FolderLock(tmp_path / "run"):
        pass
    assert os.listdir(tmp_path / "run") == [NAME]
    end(process)
    assert os.listdir(tmp_path) == []


def test_lock_refuses_a_second_holder_in_the_same_process(tmp_path):
    with (
        FolderLock(tmp_path),
        pytest.raises(ArgumentError, match=r"another run \(this process\)"),
        FolderLock(tmp_path),
    ):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_killed_holder_leaves_no_lock(tmp_path):
    process = waiting(HOLD, tmp_path / "run")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert os.listdir(tmp_path / "run") == [NAME]
    with FolderLock(tmp_path / "run") as lock:
        assert lock.is_current()
    assert os.listdir(tmp_path / "run") == []  # somebody else's folder stays


def test_lock_may_be_nested(tmp_path):
    lock = FolderLock(tmp_path)
    with lock:
        with lock:
            pass
        assert lock.is_current() and os.listdir(tmp_path) == [NAME]
    assert not lock.is_current() and os.listdir(tmp_path) == []


def test_lock_removes_only_an_empty_folder_of_its_own(tmp_path):
    with FolderLock(tmp_path / "a" / "b") as lock:
        assert lock.is_current()
    assert os.listdir(tmp_path / "a") == []
    with FolderLock(tmp_path / "c"):
        (tmp_path / "c" / "file").touch()
    assert os.listdir(tmp_path / "c") == ["file"]


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be removed")
def test_lock_notices_that_the_folder_vanished_and_takes_it_again(tmp_path):
    lock = FolderLock(tmp_path / "run")
    with lock:
        (tmp_path / "run" / NAME).unlink()
        assert not lock.is_current()
        (tmp_path / "run").rmdir()
        assert not lock.is_current()
        lock.acquire()
        assert lock.is_current() and not lock.lost
        (tmp_path / "run" / NAME).unlink()
        process = waiting(HOLD, tmp_path / "run")
        with pytest.raises(ArgumentError, match=f"process {process.pid}"):
            lock.acquire()
        assert lock.lost and not lock.is_current()
        assert os.listdir(tmp_path / "run") == [NAME]
    assert os.listdir(tmp_path / "run") == [NAME]  # it belongs to the other process
    end(process)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_forked_child_does_not_hold_the_lock(tmp_path):
    read, write = os.pipe()
    lock = FolderLock(tmp_path / "run")
    with lock:
        child = os.fork()
        if not child:
            os.close(write)
            os.read(read, 1)  # until the parent ends it
            os._exit(0)
        assert lock.is_current()
    with FolderLock(tmp_path / "run") as other:
        assert other.is_current()
    os.close(write)
    assert os.waitpid(child, 0)[1] == 0
    os.close(read)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_forked_child_does_not_release_the_lock(tmp_path):
    lock = FolderLock(tmp_path / "run")
    with lock:
        child = os.fork()
        if not child:
            lock.__exit__()
            os._exit(lock.is_current())
        assert os.waitpid(child, 0)[1] == 0
        assert lock.is_current()
        with pytest.raises(ArgumentError, match="this process"), FolderLock(tmp_path / "run"):
            pass


def test_file_system_without_locks_warns_once(tmp_path, monkeypatch):
    def unsupported(handle):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(folder_lock, "lock_file", unsupported)
    lock = FolderLock(tmp_path)
    with pytest.warns(UserWarning, match="the file system has no locks") as caught, lock, lock:
        assert lock.is_current()
    assert len(caught) == 1


def test_folder_that_cannot_be_created_is_entered_without_the_lock(tmp_path):
    (tmp_path / "file").touch()
    for folder in tmp_path / "file", tmp_path / "file" / "run":
        with FolderLock(folder) as lock:
            assert not lock.is_current()
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege")
def test_lock_does_not_follow_a_link(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "run" / NAME).symlink_to(tmp_path / "victim")
    with FolderLock(tmp_path / "run") as lock:
        assert not lock.is_current()
    assert (tmp_path / "victim").read_text() == "precious"


def test_lock_waits_for_no_name_in_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_lock, "write_holder", lambda handle: os.write(handle, b"\x1b[2J"))
    monkeypatch.setattr(folder_lock.time, "sleep", lambda seconds: None)
    with (
        FolderLock(tmp_path),
        pytest.raises(ArgumentError, match=r"in use by another run\. Wait"),
        FolderLock(tmp_path),
    ):
        pass


def test_lock_names_another_machine(tmp_path, monkeypatch):
    with FolderLock(tmp_path):
        monkeypatch.setattr(folder_lock.platform, "node", lambda: "elsewhere")
        here = os.uname().nodename if hasattr(os, "uname") else ""
        with pytest.raises(ArgumentError, match=rf"process {os.getpid()} on {here}"), FolderLock(tmp_path):
            pass


# -- of checkpoints -------------------------------------------------------------------------------


def trainer_of(folder, *callbacks, **options):
    checkpoint = minidl.Checkpoint(folder, **{"every": 1} | options)
    callbacks = [*callbacks, checkpoint]
    return minidl.Trainer(minidl.Dense(1), minidl.MeanSquaredError(), callbacks=callbacks, quiet=True)


class Do(minidl.Callback):
    """Call a function at some step."""

    def __init__(self, step, function):
        self.step, self.function = step, function

    def on_step_end(self, trainer):
        if trainer.step == self.step:
            self.function()


X = minidl.ArrayBatches([[1.0], [2.0], [3.0], [4.0]], [1.0, 2.0, 3.0, 4.0], 1)


@pytest.mark.parametrize("resume", [False, True])
def test_checkpoint_refuses_a_folder_in_use_and_changes_nothing(resume, tmp_path):
    def second():
        before = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        log = minidl.CSVLog(tmp_path / "log.csv")
        with pytest.raises(ArgumentError, match=r"is in use by another run \(this process\)"):
            trainer_of(tmp_path / "run", log).fit(X, resume=resume)
        assert {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
        refused.append(len(before))

    refused = []
    (tmp_path / "run").mkdir()
    (tmp_path / "log.csv").write_text("precious")
    trainer_of(tmp_path / "run", Do(1, second), Do(3, second)).fit(X)
    assert refused == [2, 4]  # the lock and the log, then two checkpoints as well


def test_checkpoint_releases_the_folder_however_fit_ends(tmp_path):
    class Fail(minidl.Callback):
        def on_fit_start(self, trainer):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        trainer_of(tmp_path / "run", Fail()).fit(X)
    with pytest.raises(ZeroDivisionError):
        trainer_of(tmp_path / "run", Do(2, lambda: 1 / 0)).fit(X)
    with pytest.raises(ArgumentError, match="is of another training"):
        trainer_of(tmp_path / "run").fit(minidl.ArrayBatches([[1.0]], [2.0]), resume=True)
    trainer = trainer_of(tmp_path / "run")
    trainer.fit(X, resume=True)
    trainer.fit(X, resume=True)
    with pytest.warns(UserWarning, match="done already"):
        trainer_of(tmp_path / "run").fit(X, resume=True)
    assert sorted(path.name[:10] for path in (tmp_path / "run").iterdir()) == ["checkpoint"] * 2


def test_older_run_is_refused_before_the_logs_are_emptied(tmp_path):
    trainer_of(tmp_path / "run", minidl.CSVLog(tmp_path / "log.csv")).fit(X)
    before = (tmp_path / "log.csv").read_bytes()
    with pytest.raises(ArgumentError, match="holds the checkpoints of a training"):
        trainer_of(tmp_path / "run", minidl.CSVLog(tmp_path / "log.csv")).fit(X)
    assert (tmp_path / "log.csv").read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be removed")
@pytest.mark.parametrize("on_error", ["stop", "continue"])
def test_checkpoint_leaves_a_folder_that_another_run_has_taken(on_error, tmp_path):
    def replace():
        for path in (tmp_path / "run").iterdir():
            path.unlink()
        processes.append(waiting(HOLD, tmp_path / "run"))

    processes = []
    trainer = trainer_of(tmp_path / "run", Do(2, replace), on_error=on_error)
    if on_error == "stop":
        with pytest.raises(ArgumentError, match=r"no checkpoint could be written\. .*run is in use by another run"):
            trainer.fit(X)
    else:
        with pytest.warns(UserWarning, match="is in use by another run .* The training goes on without"):
            trainer.fit(X)
        assert trainer.step == 4
    assert os.listdir(tmp_path / "run") == [NAME]
    end(*processes)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege")
def test_checkpoint_replaces_a_link_instead_of_the_file_behind_it(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "run" / "checkpoint-000000004.npz").symlink_to(tmp_path / "victim")
    with pytest.warns(UserWarning, match="is no model|not a minidl model"), pytest.raises(ArgumentError):
        trainer_of(tmp_path / "run").fit(X, resume=True)  # nothing to resume from
    (tmp_path / "run" / "checkpoint-000000004.npz").unlink()
    link = Do(3, lambda: (tmp_path / "run" / "checkpoint-000000004.npz").symlink_to(tmp_path / "victim"))
    trainer_of(tmp_path / "run", link).fit(X)
    assert (tmp_path / "victim").read_text() == "precious"
    assert not (tmp_path / "run" / "checkpoint-000000004.npz").is_symlink()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_folder_that_may_not_be_written_to_is_not_called_in_use(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    folder.mkdir(mode=0o555)
    monkeypatch.chdir(folder)
    child = os.fork()
    if not child:
        status = 2
        try:
            if os.geteuid() == 0:
                os.setuid(65534)  # root may write everywhere
            open_file(Path("lock"))
            status = 1
        except PermissionError:
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
