"""The version of minidl, which its files carry."""

__version__ = "0.1.0"
