"""fathom: depth in metres from one or two cameras."""

__version__ = "0.1.0"
