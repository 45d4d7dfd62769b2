"""Who looks on while a circle goes round."""

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from wardian.evals.working import Unwatched, Watcher
from wardian.improve.plan import Stage
from wardian.train.measures import Seen, unseen


class Onlooker(Protocol):
    """Is told how a circle goes."""

    def stage(self, number: int, stage: Stage) -> None:
        """It begins, in the round `number`, from 0."""
        ...

    def said(self, line: str) -> None: ...

    def attempting(self) -> AbstractContextManager[Watcher]:
        """For one evaluation."""
        ...

    def training(self) -> AbstractContextManager[Seen]:
        """For one training."""
        ...


class Nobody:
    """Looks on at nothing."""

    def stage(self, number: int, stage: Stage) -> None:
        pass

    def said(self, line: str) -> None:
        pass

    @contextmanager
    def attempting(self) -> Generator[Watcher]:
        yield Unwatched()

    @contextmanager
    def training(self) -> Generator[Seen]:
        yield unseen
