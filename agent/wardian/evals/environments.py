"""Environments made for Prime Intellect's `verifiers`, as suites: `verifiers:NAME`.

Their dataset becomes tasks, their rewards the check; tools, sandbox and loop are ours. A pass is a
reward of at least 1.
"""

from wardian.errors import ConfigurationError
from wardian.evals.tasks import Split, Suite, Task
from wardian.rewards.environments import tasks_of

PREFIX = "verifiers:"


def environment_suite(name: str) -> Suite:
    """The suite of an installed taskset.

    Raises: ConfigurationError where verifiers or the taskset is not installed, or does more than a
    dataset and rewards.
    """
    taskset = name.removeprefix(PREFIX)
    if not taskset:
        raise ConfigurationError(f"{PREFIX} names no taskset.", f"Write {PREFIX}gsm8k-v1.")
    tasks = tuple(
        Task(
            id=f"{taskset}/{place:05}",
            family=taskset,
            prompt=theirs.data.prompt_text,
            split=Split.TEST,
            system=theirs.data.system_prompt or "",
            verifier=(
                {"kind": "verifiers", "taskset": taskset, "index": place, "key": theirs.key},
            ),
            meta={"taskset": taskset, "name": theirs.data.name or theirs.data.id or ""},
            source=name,
        )
        for place, theirs in enumerate(tasks_of(taskset))
    )
    return Suite(name=name, version="1", tasks=tasks)
