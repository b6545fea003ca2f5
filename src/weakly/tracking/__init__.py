"""What keeps objects alive, and how much memory that is."""

from ._retention import Retention, RetentionPath, Step, why_alive
from ._snapshot import HeapGrowth, HeapSnapshot, Retained, heap, retained
from ._tracker import Tracker, TrackerReport

__all__ = [
    "HeapGrowth",
    "HeapSnapshot",
    "Retained",
    "Retention",
    "RetentionPath",
    "Step",
    "Tracker",
    "TrackerReport",
    "heap",
    "retained",
    "why_alive",
]
