"""Real producers of every document layout, and negative controls, for tests of a beamline's own set-up.

The producers are devices for a real RunEngine; `qdsizer_stream.testing.async_producers` adds one of
ophyd-async.
Nothing else in the package imports this one.
"""

from ..simulation import EMPTY_KINDS, NEGATIVE_CONTROL_KINDS, NegativeControl, negative_controls
from ._document_faults import Document, DocumentFault, Fault, document_faults
from ._producers import (
    FlyingMythen,
    ListMythen,
    PageMythen,
    ResourceDatumMythen,
    StackMythen,
    fly,
    fly_page,
)

__all__ = [
    "EMPTY_KINDS",
    "NEGATIVE_CONTROL_KINDS",
    "Document",
    "DocumentFault",
    "Fault",
    "FlyingMythen",
    "ListMythen",
    "NegativeControl",
    "PageMythen",
    "ResourceDatumMythen",
    "StackMythen",
    "document_faults",
    "fly",
    "fly_page",
    "negative_controls",
]
