"""What one run has found on the web: asked for once, shown as often as the model wants."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from wardian_sandbox.types import Sandbox
from wardian_tools.types import Output

V = TypeVar("V")
MAX_PAGES = 32
MAX_SEARCHES = 200


class Recent(Generic[V]):
    """The last values that were kept or looked up."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[object, V] = OrderedDict()

    def get(self, key: object) -> V | None:
        if key in self._values:
            self._values.move_to_end(key)
        return self._values.get(key)

    def keep(self, key: object, value: V) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._most:
            self._values.popitem(last=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A page as it was read."""

    url: str
    """Where it was in the end."""
    title: str
    mime: str
    text: str
    is_whole: bool
    """Is all the text that was loaded here?"""
    is_loaded: bool
    """Did all its bytes come?"""
    size_bytes: int
    image: bytes = field(default=b"", repr=False)


class Memory:
    """Of one run."""

    def __init__(self) -> None:
        self.pages = Recent[Found](MAX_PAGES)
        self.searches = Recent[Output](MAX_SEARCHES)
        self.robots: dict[str, str] = {}
        """site → its robots.txt"""


_MEMORIES: WeakKeyDictionary[Sandbox, Memory] = WeakKeyDictionary()


def memory_of(sandbox: Sandbox) -> Memory:
    """The memory of the run whose sandbox this is; it goes with it."""
    return _MEMORIES.setdefault(sandbox, Memory())
