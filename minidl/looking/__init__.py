"""Looking inside: what the cells, gates and gradients of a recurrent net do while it reads a text."""

from minidl.looking.activations import activations, cell_values
from minidl.looking.flow import Flow, fallen_to, flows, reach
from minidl.looking.following import Follower, correlations, following
from minidl.looking.gates import Gate, gates, time_constants
from minidl.looking.look import Look, Shown, look
from minidl.looking.properties import PROPERTIES, properties
from minidl.looking.report import Report

__all__ = [
    "PROPERTIES",
    "Flow",
    "Follower",
    "Gate",
    "Look",
    "Report",
    "Shown",
    "activations",
    "cell_values",
    "correlations",
    "fallen_to",
    "flows",
    "following",
    "gates",
    "look",
    "properties",
    "reach",
    "time_constants",
]
