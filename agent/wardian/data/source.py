"""Where the rows of chosen runs come from: one run in memory at a time, searched for secrets."""

from dataclasses import dataclass, field

from wardian.data.choice import Choice, Form
from wardian.data.choosing import Drop
from wardian.data.rows import DataRow
from wardian.data.surveying import read_run
from wardian.errors import ConfigurationError
from wardian.export.writing import holds_secret
from wardian.flow import FlowLabels
from wardian.runs import RunStore, Trajectory
from wardian_policies.labels import FlowState
from wardian_policies.redaction.values import KnownValues


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A row, the runs it comes from, and what a split must not part."""

    row: DataRow
    run_ids: tuple[str, ...]
    group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    store: RunStore
    choice: Choice
    form: Form
    known: KnownValues
    drop: Drop
    flow: dict[str, FlowState] = field(default_factory=dict[str, FlowState])
    """Of each run that was loaded: what it had read"""

    def load(self, run_id: str) -> Trajectory:
        """Raises: ConfigurationError where anything in the run holds a registered secret.

        Ids are not text, so it is the run that they tell of that is searched.
        """
        run = read_run(self.store, run_id)
        if any(holds_secret(record.data, self.known) for record in run.records):
            raise ConfigurationError(
                f"Run {run_id} holds a registered secret.",
                "Nothing was written: leave it out, or remove it with `agent runs rm`.",
            )
        labels = FlowLabels()
        for event in run.events:
            labels.apply(event)
        self.flow[run_id] = labels.state
        return run
