from . import (
    archive,
    callbacks,
    configuration,
    devices,
    errors,
    fitting,
    models,
    patterns,
    profiles,
    reduction,
    services,
    simulation,
    sizing,
    testing,
    training,
)
from ._size import size
from .archive import replay
from .callbacks import LiveConfig, LiveSizer
from .fitting import refine
from .patterns import Pattern, read_pattern
from .profiles import install
from .sizing import SizeEstimate, Sizer

__all__ = [
    "LiveConfig",
    "LiveSizer",
    "Pattern",
    "SizeEstimate",
    "Sizer",
    "__version__",
    "archive",
    "callbacks",
    "configuration",
    "devices",
    "errors",
    "fitting",
    "install",
    "models",
    "patterns",
    "profiles",
    "read_pattern",
    "reduction",
    "refine",
    "replay",
    "services",
    "simulation",
    "size",
    "sizing",
    "testing",
    "training",
]

__version__: str
