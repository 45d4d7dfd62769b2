"""Stored runs taken up again: resumed, replayed, forked."""

from wardian.reruns.comparing import Difference
from wardian.reruns.forking import Fork, fork
from wardian.reruns.replaying import Replay, replay
from wardian.reruns.resuming import Rerun, resume

__all__ = ["Difference", "Fork", "Replay", "Rerun", "fork", "replay", "resume"]
