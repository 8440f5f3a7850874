"""Proofs for layers: `gradcheck` against numeric derivatives, and `check_layer`, the conformance suite."""

from minidl.checking.conformance import CHECKS, LayerReport, check_layer
from minidl.checking.gradcheck import gradcheck
from minidl.checking.report import GradientReport, Row
from minidl.checking.subject import Subject

__all__ = ["CHECKS", "GradientReport", "LayerReport", "Row", "Subject", "check_layer", "gradcheck"]
