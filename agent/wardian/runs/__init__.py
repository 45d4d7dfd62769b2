"""Runs on disk: the append-only log, the store that holds them, the reader."""

from wardian.runs.ids import new_run_id
from wardian.runs.log import RunLog
from wardian.runs.store import RunStore
from wardian.runs.summary import RunSummary
from wardian.runs.trajectory import Damage, Record, Trajectory

__all__ = ["Damage", "Record", "RunLog", "RunStore", "RunSummary", "Trajectory", "new_run_id"]
