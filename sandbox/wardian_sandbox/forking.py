"""A folder of one's own that begins as another is, and whose changes may be brought back.

Covers: links are carried and never followed; where the file system can share blocks nothing is
copied; what somebody changed in the original meanwhile is not overwritten.
"""

import os
import stat
from pathlib import Path

from wardian_sandbox.carrying import Owner, Tree, differences, failure, put, remove
from wardian_sandbox.errors import SandboxError
from wardian_sandbox.snapshot import Entry, changes_between, take_snapshot
from wardian_sandbox.types import FileChange


class Fork:
    """`folder`, as `source` was when the fork was made."""

    def __init__(self, source: Path, folder: Path) -> None:
        """Fills `folder`, which must be empty.

        Raises: SandboxError when there is too much, or a file cannot be copied.
        """
        self.source = source
        self.folder = folder
        self._original = take_snapshot(source)
        self._carry(
            source, folder, sorted(self._original.entries), (), (os.geteuid(), os.getegid())
        )
        self._begun = take_snapshot(folder)

    def changes(self) -> tuple[FileChange, ...]:
        """What is different in the fork by now."""
        return changes_between(self._begun, take_snapshot(self.folder))

    def bring_back(self) -> tuple[FileChange, ...]:
        """Make the same changes to the original: all of them, or none.

        Raises: SandboxError naming a path that was changed there meanwhile, or cannot be written.
        """
        mine = take_snapshot(self.folder, strict=True)
        to_put, gone = differences(self._begun, mine)
        self._refuse_conflicts(to_put, gone)
        owner = self.source.stat()
        self._carry(self.folder, self.source, to_put, gone, (owner.st_uid, owner.st_gid))
        changes = changes_between(self._begun, mine)
        self._begun, self._original = mine, take_snapshot(self.source)
        return changes

    def _refuse_conflicts(self, to_put: list[str], gone: list[str]) -> None:
        theirs = take_snapshot(self.source)
        for path in (*to_put, *gone):
            before, now = self._original.entries.get(path), theirs.entries.get(path)
            if before is None or now is None:
                is_untouched = before is now or self._is_folder(now)
            else:
                is_untouched = before.is_same_content(now)
            if is_untouched:
                continue
            raise SandboxError(
                f"{path} was changed in {self.source} while the fork was worked on.",
                f"The fork's version is in {self.folder}; compare them.",
            )

    @staticmethod
    def _is_folder(entry: Entry | None) -> bool:
        """One that both made is no conflict."""
        return entry is not None and entry.kind == stat.S_IFDIR

    def _carry(
        self,
        source: Path,
        target: Path,
        to_put: list[str],
        gone: tuple[str, ...] | list[str],
        owner: Owner,
    ) -> None:
        with Tree(source) as giving, Tree(target) as taking:
            for path in gone:
                try:
                    remove(taking, path)
                except OSError as problem:
                    raise failure(path, problem) from problem
            for path in to_put:
                try:
                    put(giving, taking, path, owner, keep_mode=False)
                except OSError as problem:
                    raise failure(path, problem) from problem
