"""A workspace that is a private copy of the user's folder.

Made where the box may not have the folder itself: when its changes wait for `apply`; when the host
process is root, whose files the box's unprivileged user could not write; and when mounts could not
protect or hide what they have to. But in the first case both sides are kept the same: before a call
what changed outside is brought in, after it what changed inside is brought out.
"""

import asyncio
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

from wardian_sandbox.carrying import Owner, Tree, differences, failure, put, remove
from wardian_sandbox.errors import SandboxError
from wardian_sandbox.hiding import Hiding
from wardian_sandbox.inner.globs import is_above, is_match
from wardian_sandbox.own_folders import delete, make_base
from wardian_sandbox.protecting import Mount, Protection
from wardian_sandbox.snapshot import (
    MAX_BYTES,
    Entry,
    Snapshot,
    changes_between,
    take_snapshot,
    too_large,
)
from wardian_sandbox.types import FileChange

QUICK_ENTRIES = 100
"""A workspace this small is looked through in less time than handing it to a thread takes."""


class CopiedWorkspace:
    """A private copy, kept the same as the original if `live`, else until `apply`."""

    def __init__(
        self,
        source: Path,
        *,
        box_user: int | None,
        live: bool,
        protected: tuple[str, ...],
        hidden: tuple[str, ...] = (),
    ) -> None:
        """`box_user` is who the box runs as, None for the user of this process."""
        self._source = source
        self._hiding = Hiding(source, hidden)
        self._live = live
        self._protected = list(protected)
        self.tree: int | None = None
        self.mode = "synchronised" if live else "copy"
        outside = source.stat()
        self._outside_owner: Owner = (outside.st_uid, outside.st_gid)
        user = os.geteuid() if box_user is None else box_user
        self._inside_owner: Owner = (user, os.getegid() if box_user is None else box_user)
        self._base, self._lock = make_base(self._inside_owner)
        self.path = self._base / "workspace"
        self.path.mkdir(mode=0o700)
        os.chown(self.path, *self._inside_owner)
        self._outside = Snapshot()
        self._inside = Snapshot()
        self._opened = Snapshot()
        self._turn = asyncio.Lock()
        self._is_closed = False
        self.mounts: tuple[Mount, ...] = ()

    @property
    def hidden(self) -> tuple[str, ...]:
        """Paths that are there outside only."""
        return self._hiding.paths

    @property
    def truth(self) -> Path:
        """The folder that has its present state once a call is over."""
        return self._source if self._live else self.path

    async def fill(self) -> None:
        """Copy the original. Raises: SandboxError when it is too large or cannot be read."""
        await asyncio.to_thread(self._fill)

    async def renew(self) -> None:
        """Raises: SandboxError when the original became too large, or cannot be read."""
        await self._in_turn(self._renew)

    async def show(self, paths: Sequence[str]) -> None:
        """Raises: SandboxError when a file cannot be copied."""
        await self._in_turn(lambda: self._show(paths))

    async def before_call(self) -> None:
        if self._live:
            await self._in_turn(self._bring_in)

    async def after_call(self) -> None:
        if self._live:
            await self._in_turn(self._bring_out)

    async def diff(self) -> tuple[FileChange, ...]:
        now = await asyncio.to_thread(take_snapshot, self.truth)
        return changes_between(self._opened, self._hiding.without(now) if self._live else now)

    async def apply(self) -> tuple[FileChange, ...]:
        """Raises: SandboxError when a change cannot be brought."""
        changes = () if self._live else await self.diff()
        await self._in_turn(self._bring_out)
        return changes

    async def close(self) -> None:
        try:
            if self._live:
                await self._in_turn(self._bring_out)
        finally:
            async with self._turn:
                if not self._is_closed:
                    self._is_closed = True
                    await asyncio.to_thread(delete, self._base)
                    os.close(self._lock)

    async def _in_turn(self, work: Callable[[], None]) -> None:
        """One after another; nothing once the copy is gone, as for a call that close cut off."""
        async with self._turn:
            if self._is_closed:
                return
            if len(self._inside.entries) + len(self._outside.entries) <= QUICK_ENTRIES:
                work()
                return
            working = asyncio.ensure_future(asyncio.to_thread(work))
            try:
                await asyncio.shield(working)
            except asyncio.CancelledError:
                await asyncio.wait((working,))  # a thread cannot be stopped, only waited for
                raise

    def _fill(self) -> None:
        try:
            self._outside = self._look()
        except OSError as problem:
            raise SandboxError(
                f"The workspace {self._source} cannot be read: {problem.strerror}.",
                "Choose another folder with --workspace.",
            ) from problem
        if self._outside.total_bytes > MAX_BYTES:
            raise too_large(self._source, f"more than {MAX_BYTES >> 30} GiB")
        put_paths, _ = differences(Snapshot(), self._outside)
        with Tree(self._source) as source, Tree(self.path) as target:
            for path in put_paths:
                self._copy_in(source, target, path)
        # In the copy placeholders harm nobody: they go with it.
        protection = Protection(self.path, tuple(self._protected), self._inside_owner)
        self.mounts = protection.mounts
        protection.release()
        self._inside = take_snapshot(self.path)
        self._opened = self._outside if self._live else self._inside

    def _look(self) -> Snapshot:
        """What of the original may be seen."""
        return self._hiding.without(take_snapshot(self._source))

    def _show(self, paths: Sequence[str]) -> None:
        if not self._hiding.paths:
            return
        self._hiding.show(paths)
        now = self._look().entries
        shown = sorted(path for path in now if path not in self._outside.entries)
        with Tree(self._source) as source, Tree(self.path) as target:
            for path in shown:
                self._copy_in(source, target, path)
                self._outside.entries[path] = now[path]
                self._opened.entries.setdefault(path, now[path])

    def _renew(self) -> None:
        self._bring_in()
        self._inside = take_snapshot(self.path)
        self._opened = self._outside if self._live else self._inside

    def _copy_in(self, source: Tree, target: Tree, path: str) -> None:
        try:
            entry = put(source, target, path, self._inside_owner, keep_mode=False)
        except PermissionError:
            return  # not ours to read; then the box has no business with it
        except OSError as problem:
            raise SandboxError(
                f"The workspace could not be copied for the sandbox ({path}: {problem.strerror}).",
                f"Make room in {self._base.parent}, or run as an ordinary user.",
            ) from problem
        if entry is not None:
            self._inside.entries[path] = entry

    def _bring_in(self) -> None:
        """What changed outside, where the box has not changed the same."""
        now = self._look()
        put_paths, gone = differences(self._outside, now)
        if put_paths or gone:
            with Tree(self._source) as source, Tree(self.path) as target:
                for path in gone:
                    remove(target, path)
                    self._inside.entries.pop(path, None)
                for path in put_paths:
                    self._copy_in(source, target, path)
        self._outside = now

    def _bring_out(self) -> None:
        """What changed inside, whatever happened to the same file outside."""
        now = take_snapshot(self.path, strict=True)
        put_paths, gone = differences(self._inside, now)
        put_paths, gone = self._allowed(put_paths, gone, now)
        if not put_paths and not gone:
            return
        with Tree(self.path) as source, Tree(self._source) as target:
            for path in gone:
                self._take_out(target, path)
            for path in put_paths:
                self._put_out(source, target, path, now.entries[path])

    def _allowed(
        self, put_paths: list[str], gone: list[str], now: Snapshot
    ) -> tuple[list[str], list[str]]:
        """Without what is protected, what would take the place of a folder on the way to that, and
        what lies below such a thing.
        """
        refused = {
            path
            for path in (*put_paths, *gone)
            if is_match(path, self._protected, ignore_case=True)
            or self._stands_in_the_way(path, now)
            or self._is_another(path)
        }

        def is_free(path: str) -> bool:
            names = path.split("/")
            return refused.isdisjoint("/".join(names[:end]) for end in range(1, len(names) + 1))

        if not refused:
            return put_paths, gone
        return [*filter(is_free, put_paths)], [*filter(is_free, gone)]

    def _is_another(self, path: str) -> bool:
        """Would it take the place of something that is hidden? If not, it is the box's own."""
        if not self._hiding.hides(path):
            return False
        if os.path.lexists(self._source / path):
            return True
        self._hiding.show([path])
        return False

    def _stands_in_the_way(self, path: str, now: Snapshot) -> bool:
        """A link or a file, in here or outside, where a protected path wants a folder."""
        if not is_above(path, self._protected, ignore_case=True):
            return False
        entries = (now.entries.get(path), self._outside.entries.get(path))
        return any(entry is not None and entry.kind != stat.S_IFDIR for entry in entries)

    def _take_out(self, target: Tree, path: str) -> None:
        try:
            remove(target, path)
        except OSError as problem:
            raise failure(path, problem) from problem
        self._inside.entries.pop(path, None)
        self._outside.entries.pop(path, None)

    def _put_out(self, source: Tree, target: Tree, path: str, seen: Entry) -> None:
        before = self._inside.entries.get(path)
        keep_mode = before is not None and before.mode == seen.mode
        try:
            entry = put(source, target, path, self._outside_owner, keep_mode=keep_mode)
        except FileNotFoundError:
            return  # gone from inside meanwhile; the next look will see it
        except OSError as problem:
            raise failure(path, problem) from problem
        # Noted one by one, so that after a failure the rest is still known to be outstanding.
        self._inside.entries[path] = seen
        if entry is not None:
            self._outside.entries[path] = entry
