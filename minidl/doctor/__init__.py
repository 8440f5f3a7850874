"""The doctor: why a training does not learn, with numbers: `diagnose`, and `Doctor`, which watches a run."""

from minidl.doctor.diagnosing import diagnose
from minidl.doctor.diagnosis import Diagnosis
from minidl.doctor.doctor import Doctor

__all__ = ["Diagnosis", "Doctor", "diagnose"]
