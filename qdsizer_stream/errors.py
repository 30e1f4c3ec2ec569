"""Errors of the package; every message states the value, what is allowed and the fix."""

__all__ = [
    "ArchiveError",
    "CalibrationError",
    "ConfigurationError",
    "LibraryError",
    "MessageError",
    "MissingExtraError",
    "ModelError",
    "PatternError",
    "PatternFileError",
    "PatternFileWarning",
    "PhysicsError",
    "QdsizerError",
    "ServiceError",
    "missing_extra",
]


class QdsizerError(Exception):
    """Base class of all errors of this package."""


class ConfigurationError(QdsizerError, ValueError):
    """A setting is missing, unknown or out of range."""


class PatternError(QdsizerError, ValueError):
    """Arrays that are not a valid pattern."""


class PatternFileError(PatternError):
    """A pattern file that cannot be read."""


class PatternFileWarning(UserWarning):
    """A pattern file with something unusual, and what was made of it."""


class CalibrationError(QdsizerError, ValueError):
    """A detector calibration that does not fit the frame."""


class ModelError(QdsizerError, ValueError):
    """A model that is unknown, damaged or not suitable for the request."""


class PhysicsError(QdsizerError, ValueError):
    """A crystal, cluster or population that is not physical."""


class LibraryError(QdsizerError, ValueError):
    """A library file that is not one of this package, damaged or incomplete."""


class ArchiveError(QdsizerError, LookupError):
    """A run that is not in the archive, or not in the required form."""


class ServiceError(QdsizerError, ConnectionError):
    """A transport that rejects a connection, or that has lost a document."""


class MessageError(QdsizerError, ValueError):
    """A message that is not a document, or that may not be decoded."""


class MissingExtraError(QdsizerError, ImportError):
    """A library that is not installed; the message names the extra to install."""


EXTRAS = {
    "aioca": "epics",
    "bluesky_tiled_plugins": "tiled",
    "bokeh": "watch",
    "caproto": "epics",
    "confluent_kafka": "kafka",
    "dask": "cluster",
    "databroker": "databroker",
    "distributed": "cluster",
    "epics": "epics",
    "gemmi": "simulate",
    "matplotlib": "plot",
    "msgpack": "tiled",
    "onnx": "train",
    "onnxscript": "train",
    "openpyxl": "tables",
    "pandas": "tables",
    "prometheus_client": "zmq",
    "pyarrow": "tables",
    "tiled": "tiled",
    "torch": "train",
    "xarray": "tiled",
    "xraydb": "simulate",
    "xraylib": "simulate",
    "zmq": "zmq",
}
"""Extra that installs each optional library, by the name that is imported."""


def missing_extra(error: ModuleNotFoundError) -> ImportError:
    """Explain which extra to install for a library that is missing.

    Parameters
    ----------
    error
        Failed import.

    Returns
    -------
    An error to raise in its place; the same one where the library is not an optional one of this package.
    """
    library = (error.name or "").partition(".")[0]
    if library not in EXTRAS:
        return error
    return MissingExtraError(
        f"this needs the library {library}, which is not installed: "
        f'pip install "qdsizer-stream[{EXTRAS[library]}]"',
        name=error.name,
    )
