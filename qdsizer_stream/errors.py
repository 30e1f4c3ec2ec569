"""Errors of the package: each states the value, what is allowed and the fix."""

__all__ = [
    "ArchiveError",
    "CalibrationError",
    "ConfigurationError",
    "LibraryError",
    "ModelError",
    "PatternError",
    "PatternFileError",
    "PhysicsError",
    "QdsizerError",
    "ServiceError",
    "WireError",
]


class QdsizerError(Exception):
    """Base of every error that this package raises on purpose."""


class ConfigurationError(QdsizerError, ValueError):
    """A setting is missing, unknown or outside what is allowed."""


class PatternError(QdsizerError, ValueError):
    """Arrays that cannot form a pattern."""


class PatternFileError(PatternError):
    """A pattern file that cannot be read."""


class CalibrationError(QdsizerError, ValueError):
    """A detector calibration that does not fit the frame."""


class ModelError(QdsizerError, ValueError):
    """A model that is unknown, damaged or asked for what it cannot do."""


class PhysicsError(QdsizerError, ValueError):
    """A crystal, cluster or population that is not physical."""


class LibraryError(QdsizerError, ValueError):
    """A library file that is foreign, damaged or cut short."""


class ArchiveError(QdsizerError, LookupError):
    """A run that the archive does not hold, or not in the form asked for."""


class ServiceError(QdsizerError, ConnectionError):
    """A transport that refuses, or that has lost a document."""


class WireError(QdsizerError, ValueError):
    """A message that is no document, or one that may not be read."""
