"""The doctor: what is wrong with a training whose code is right, and what is kept of the moment it went wrong."""

from minidl.doctor.blackbox import BlackBox
from minidl.doctor.record import Record
from minidl.doctor.replay import replay, reproduce
from minidl.doctor.rollback import Rollback
from minidl.doctor.snapshot import Snapshot

__all__ = ["BlackBox", "Record", "Rollback", "Snapshot", "replay", "reproduce"]
