"""Proofs for layers: `gradcheck` against numeric derivatives, and `check_layer`, the conformance suite."""

from minidl.checking.conformance import CHECKS, LayerReport, check_layer
from minidl.checking.explanation import explain
from minidl.checking.functions import check_functions, check_loss
from minidl.checking.gradcheck import gradcheck
from minidl.checking.naming.findings import Finding
from minidl.checking.report import GradientReport, Row
from minidl.checking.subject import Subject

__all__ = [
    "CHECKS",
    "Finding",
    "GradientReport",
    "LayerReport",
    "Row",
    "Subject",
    "check_functions",
    "check_layer",
    "check_loss",
    "explain",
    "gradcheck",
]
