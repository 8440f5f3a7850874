"""Proofs for layers (`gradcheck`, `check_layer`), and where a training step goes wrong (`find_nonfinite`)."""

from minidl.checking.conformance import CHECKS, LayerReport, check_layer
from minidl.checking.explanation import explain
from minidl.checking.functions import check_functions, check_loss
from minidl.checking.gradcheck import gradcheck
from minidl.checking.naming.findings import Finding, Place
from minidl.checking.nonfinite import find_nonfinite
from minidl.checking.report import GradientReport, Row
from minidl.checking.subject import Subject

__all__ = [
    "CHECKS",
    "Finding",
    "GradientReport",
    "LayerReport",
    "Place",
    "Row",
    "Subject",
    "check_functions",
    "check_layer",
    "check_loss",
    "explain",
    "find_nonfinite",
    "gradcheck",
]
