"""One run of an agent, from its beginning to its result.

This is the one boundary of a run: what the loop raises is recorded here, then raised on.
"""

import asyncio
import copy
import os
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, replace

import wardian_sandbox
from wardian.answers import answer_check
from wardian.assembling import assemble
from wardian.beginning import Beginning, go_on, resumed_event
from wardian.configured import ConfiguredAgent
from wardian.ending import finish, why
from wardian.errors import ConfigurationError, ContextOverflow, StorageError, WardianError
from wardian.events import RunFinished
from wardian.hiding import box_confinement, shows_later
from wardian.limits import Meter
from wardian.loop import Run, pursue
from wardian.privacy import Screen
from wardian.prompt import Conversation
from wardian.recorder import RunRecorder
from wardian.results import RunResult, T
from wardian.run_box import RunBox
from wardian.runs import RunLog, new_run_id
from wardian.screens import screen_for
from wardian.starting import run_started
from wardian.types import Startable, Stop
from wardian_sandbox.choosing import Choice, choose
from wardian_sandbox.errors import SandboxError
from wardian_sandbox.types import Sandbox
from wardian_tools.schema import import_validation


class PerformingAgent(ConfiguredAgent[T]):
    """An agent that does what a beginning says."""

    async def perform(self, beginning: Beginning) -> RunResult[T]:
        """Do what `beginning` says. Raises: as `run`."""
        schema = beginning.task.output_schema
        if schema is not None and self.check.schema is None:
            typed = copy.copy(self)
            typed.check = answer_check(None, schema)
            return await typed.perform(beginning)
        if not self.workspace.is_dir() or not os.access(self.workspace, os.R_OK | os.X_OK):
            raise ConfigurationError(
                f"The workspace {self.workspace} is not a folder that can be read.",
                "Name one with --workspace.",
            )
        beginning = replace(beginning, run_id=beginning.run_id or new_run_id())
        choice = await self._made_ready()
        async with AsyncExitStack() as stack:
            log = self._log(beginning)
            if log:
                stack.callback(log.close)
            beginning = await self._prepared(beginning, log)
            steps = beginning.branch.steps if beginning.branch else 0
            meter = Meter(ledger=beginning.ledger, steps=steps)
            stack.callback(meter.close)
            screen = self._screen(log)
            recorder = RunRecorder(log, Conversation(), meter, beginning.listener, screen)
            box = self._box(beginning, choice.backend, recorder, log)
            stack.push_async_callback(box.close)
            run = assemble(self, beginning.run_id, recorder, box)
            try:
                finished = await self._supervise(
                    run, await self._begun(run, recorder, beginning, choice, log)
                )
            except BaseException as error:
                screen.cleaned(error)
                raise
        return self._result(run, screen.shown(finished), log)

    async def _begun(
        self,
        run: Run,
        recorder: RunRecorder,
        beginning: Beginning,
        choice: Choice,
        log: RunLog | None,
    ) -> Callable[[Run], Awaitable[Stop]]:
        """`_begin`; a new run whose first event cannot be kept leaves nothing in the store."""
        try:
            return await self._begin(run, recorder, beginning, choice)
        except StorageError:
            if log and not beginning.resumption:
                log.discard()
            raise

    def _log(self, beginning: Beginning) -> RunLog | None:
        if not self.store or not beginning.keep:
            return None
        if beginning.resumption:
            lines = beginning.resumption.continuation.lines
            return RunLog.reopen(self.store.root / beginning.run_id, lines=lines)
        return self.store.create(beginning.run_id)

    async def _prepared(self, beginning: Beginning, log: RunLog | None) -> Beginning:
        if not beginning.prepare:
            return beginning
        try:
            return await asyncio.to_thread(beginning.prepare, beginning)
        except BaseException:
            if log and not beginning.resumption:
                log.discard()
            raise

    async def _begin(
        self, run: Run, recorder: RunRecorder, beginning: Beginning, choice: Choice
    ) -> Callable[[Run], Awaitable[Stop]]:
        """Record that it begins; gives what then does the work. Raises: StorageError."""
        resumption = beginning.resumption
        if resumption is None:
            await recorder.record(run_started(self, run, beginning, choice))
            return pursue
        recorder.recall(resumption.continuation.events)
        run.meter.strikes = 0  # the user says go on
        await recorder.record(resumed_event(resumption, run, asdict(choice)))
        return lambda run: go_on(run, resumption)

    async def _made_ready(self) -> Choice:
        """The sandbox; chosen while the model is loaded, where that has to be.

        Raises: SandboxUnavailable, ModelError.
        """
        if not isinstance(self.model, Startable):
            return await self._choose_sandbox()
        loading = asyncio.create_task(self.model.start())
        choice, _, _ = await asyncio.gather(
            self._choose_sandbox(), loading, _import_during(loading)
        )
        return choice

    async def _choose_sandbox(self) -> Choice:
        """Which sandbox the calls will run in: what is lacking is said before the model is asked.

        Raises: SandboxUnavailable.
        """
        lends = bool(self.subagents) and self.workspace_mode == "copy"
        if not lends and not any(t.uses_sandbox for t in self.registry):
            return Choice("unused")
        reaches_hosts = bool(self.policy.confinement.egress.hosts)
        return await choose(self.sandbox, self.sandbox_image, reaches_hosts=reaches_hosts)

    def _box(
        self, beginning: Beginning, backend: str, recorder: RunRecorder, log: RunLog | None
    ) -> RunBox:
        theirs = self.caller.call.sandbox if self.caller else None
        if self.workspace_mode == "copy" and isinstance(theirs, wardian_sandbox.SupervisedSandbox):
            lender = theirs

            def lent() -> Awaitable[Sandbox]:
                return lender.fresh(mode="copy", within=box_confinement(self))

            return RunBox(lent, recorder.record, bring_back=True)

        workspace = beginning.place or self.workspace

        def opening() -> Awaitable[Sandbox]:
            return wardian_sandbox.open_sandbox(
                backend,
                workspace,
                box_confinement(self),
                mode="mount" if beginning.place else self.workspace_mode,
                image=self.sandbox_image,
                run=beginning.run_id,
                shows_later=shows_later(self),
                on_egress=recorder.note_egress,
            )

        keeping = (log.folder, workspace) if log else None
        return RunBox(opening, recorder.record, keeping=keeping)

    def _screen(self, log: RunLog | None) -> Screen:
        """What this run hides. Raises: ConfigurationError for a key that is none."""
        models = [self.model, *([self.private_model] if self.private_model else [])]
        return screen_for(
            self.policy,
            os.environ,
            models=models,
            session=self.session,
            workspace=self.workspace,
            folder=log.folder if log else None,
            holders=[self.servers],
        )

    async def _supervise(
        self, run: Run, pursuit: Callable[[Run], Awaitable[Stop]] = pursue
    ) -> RunFinished:
        """Run the loop under the clock and record how it ended, whatever that was."""
        seconds = run.meter.ledger.left(Stop.TIME)
        try:
            async with asyncio.timeout(seconds):
                stop = await pursuit(run)
        except TimeoutError:
            stop = Stop.TIME
        except asyncio.CancelledError:
            await asyncio.shield(finish(run, Stop.CANCELLED, "The run was cancelled."))
            raise
        except BaseExceptionGroup as group:
            # A TaskGroup wraps what one of several parallel calls raised.
            await finish(run, Stop.FAILED, str(group.exceptions[0]))
            raise group.exceptions[0] from None
        except ContextOverflow as error:
            return await finish(run, Stop.CONTEXT, str(error))
        except (WardianError, SandboxError) as error:
            with suppress(WardianError, SandboxError):
                await finish(run, Stop.FAILED, str(error))
            raise
        return await finish(run, stop, why(stop, run))

    def _result(self, run: Run, finished: RunFinished, log: RunLog | None) -> RunResult[T]:
        return RunResult(
            run_id=run.id,
            answer=finished.answer,
            value=self.check.value(finished.answer) if finished.stop is Stop.DONE else None,
            stop=finished.stop,
            steps=finished.steps,
            tool_calls=finished.tool_calls,
            usage=finished.usage,
            seconds=finished.seconds,
            error=finished.error,
            path=log.path if log else None,
            spent=run.meter.ledger.spent,
            flow=run.labels.state,
            messages=run.conversation.closed(),
        )


async def _import_during(loading: asyncio.Task[None]) -> None:
    """What the first call needs, while a model loads; a server is there at once."""
    if not loading.done():
        await asyncio.to_thread(import_validation)
