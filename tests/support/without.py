"""`agent` as it is where some packages are not installed.

python -P without.py torch,trl train sft recipe.toml
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

HIDDEN = frozenset(sys.argv[1].split(","))


class Without(PathFinder):
    """Finds what lies on the path, but for what is hidden."""

    @classmethod
    def find_spec(
        cls,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] in HIDDEN:
            return None
        return super().find_spec(fullname, path, target)


if __name__ == "__main__":
    sys.meta_path[sys.meta_path.index(PathFinder)] = Without
    sys.argv = ["agent", *sys.argv[2:]]
    from wardian.cli.main import main

    sys.exit(main())
