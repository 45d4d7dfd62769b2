"""The version, in one place; the changelog and the tag agree with it."""

__version__ = "0.1.0"
