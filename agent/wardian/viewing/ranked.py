"""Words in stored runs by the full-text index, each place as its reader may see it.

What the index gives stands there as recorded: each text is made fit to be seen before it is cut,
and a place that is then gone was a secret's. A run whose log holds pseudonyms is read itself, since
the words that its reader sees are not in the log; its places come after the others.
"""

from collections.abc import Callable, Container, Iterator

from wardian.errors import StorageError
from wardian.runs import RunStore, Trajectory
from wardian.runs.search import Hit, Report, SearchIndex
from wardian.runs.words import Words, around
from wardian.viewing.finding import Found, texts


def ranked(
    store: RunStore,
    words: Words,
    read: Callable[[Trajectory], Trajectory],
    clean: Callable[[str], str],
    *,
    limit: int,
    among: Container[str] | None = None,
    report: Report = lambda done, of: None,
) -> list[Found]:
    """The best `limit` places. `read` makes a run fit to be seen, `clean` a text of one."""

    def taken(hit: Hit) -> Found | None:
        return _found(words, hit.run_id, hit.step, hit.where, clean(hit.text))

    def is_meant(run_id: str) -> bool:
        return among is None or run_id in among

    index = SearchIndex(store.root, report)
    found = index.hits(words, is_meant, taken, limit)
    for run_id in index.apart():
        if len(found) < limit and is_meant(run_id):
            found += _in_run(store, run_id, words, read)
    return found[:limit]


def _in_run(
    store: RunStore, run_id: str, words: Words, read: Callable[[Trajectory], Trajectory]
) -> Iterator[Found]:
    try:
        run = read(store.load(run_id))
    except StorageError:
        return
    for event in run.events:
        for step, where, text in texts(event):
            if found := _found(words, run_id, step, where, text):
                yield found


def _found(words: Words, run_id: str, step: int, where: str, text: str) -> Found | None:
    place = words.place(text)
    if place is None:
        return None
    return Found(run_id=run_id, step=step, where=where, excerpt=around(text, *place))
