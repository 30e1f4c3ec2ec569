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
from ._size import PatternEstimate, size
from .archive import plot_run, replay, sizes, sizes_dataset
from .callbacks import LiveConfig, LiveSizer
from .fitting import identify, refine
from .patterns import Pattern, read_pattern
from .profiles import install
from .sizing import SizeEstimate, Sizer

__all__ = [
    "LiveConfig",
    "LiveSizer",
    "Pattern",
    "PatternEstimate",
    "SizeEstimate",
    "Sizer",
    "__version__",
    "archive",
    "callbacks",
    "configuration",
    "devices",
    "errors",
    "fitting",
    "identify",
    "install",
    "models",
    "patterns",
    "plot_run",
    "profiles",
    "read_pattern",
    "reduction",
    "refine",
    "replay",
    "services",
    "simulation",
    "size",
    "sizes",
    "sizes_dataset",
    "sizing",
    "testing",
    "training",
]

__version__: str
