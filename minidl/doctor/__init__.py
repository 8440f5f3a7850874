"""The doctor: why a training does not learn, and what is kept of the moment when it went wrong."""

from minidl.doctor.blackbox import BlackBox
from minidl.doctor.diagnosing import diagnose
from minidl.doctor.diagnosis import Diagnosis
from minidl.doctor.doctor import Doctor
from minidl.doctor.record import Record
from minidl.doctor.replay import replay, reproduce
from minidl.doctor.rollback import Rollback
from minidl.doctor.snapshot import Snapshot

__all__ = ["BlackBox", "Diagnosis", "Doctor", "Record", "Rollback", "Snapshot", "diagnose", "replay", "reproduce"]
