"""srec: session-based game recommendations for anonymous visitors."""

__version__ = "0.1.0"
