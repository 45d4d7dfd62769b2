"""The people, places and things that the tasks tell of; those of one split are in no other."""

import random
from collections.abc import Sequence

from wardian.evals.tasks import Split

FIRST = (
    "Ada", "Bruno", "Carla", "Dmitri", "Elif", "Farid", "Greta", "Hiro", "Ines", "Jonas", "Kaya",
    "Liam", "Mina", "Nadia", "Otto", "Priya", "Quentin", "Rosa", "Samir", "Tilda", "Uma", "Viktor",
    "Wanda", "Xenia", "Yusuf", "Zora", "Anton", "Bella", "Cosmo", "Dalia", "Emil", "Fiona", "Goran",
    "Hanna", "Igor", "Juno", "Klaus", "Leila", "Marco", "Nora", "Oskar", "Petra", "Rafael", "Sofia",
    "Tomas", "Ulla", "Vera", "Walter",
)  # fmt: skip
LAST = (
    "Abara", "Bergman", "Castillo", "Dvorak", "Eriksen", "Fontaine", "Galli", "Hoshino", "Ivanov",
    "Jansen", "Kowalski", "Lindqvist", "Moreau", "Nakamura", "Okafor", "Petrov", "Quist", "Rossi",
    "Santos", "Takeda", "Ueda", "Varga", "Weber", "Xiang", "Yilmaz", "Zeman", "Andersson", "Bauer",
    "Costa", "Duarte", "Engel", "Ferrari", "Gruber", "Hansen", "Ibarra", "Jovanovic", "Keller",
    "Larsen", "Meyer", "Novak", "Olsen", "Popescu", "Ricci", "Silva", "Toth", "Urban", "Vidal",
    "Wagner",
)  # fmt: skip
TOWNS = (
    "Aldermoor", "Brightwater", "Caldera", "Dunmore", "Eastvale", "Fernhollow", "Glenport",
    "Harrowgate", "Ironbridge", "Juniper Bay", "Kingsford", "Larkspur", "Millbrook", "Northgate",
    "Oakhurst", "Pinecrest", "Quarrytown", "Ravensworth", "Stonehaven", "Thornbury", "Underhill",
    "Violet Springs", "Westerly", "Yarrow", "Ashdown", "Briarcliff", "Coldwell", "Drayton",
    "Elmstead", "Foxley", "Greywick", "Hazelton",
)  # fmt: skip
GOODS = (
    "anvil", "basket", "candle", "drill", "easel", "funnel", "goggles", "hammer", "inkwell", "jar",
    "kettle", "lantern", "mallet", "needle", "oar", "pulley", "quilt", "rope", "saddle", "tripod",
    "urn", "valve", "whistle", "yoke", "zipper", "apron", "bucket", "compass", "dial", "engine",
    "flask", "gasket", "hinge", "iron", "jigsaw", "kiln", "ladder", "magnet", "nozzle", "oven",
    "pliers", "ratchet", "sieve", "tongs", "vise", "wrench", "axle", "bolt",
)  # fmt: skip
CODENAMES = (
    "amber", "basalt", "cobalt", "dahlia", "ember", "falcon", "garnet", "heron", "indigo", "jasper",
    "kestrel", "lotus", "marble", "nimbus", "onyx", "pelican", "quartz", "raven", "saffron",
    "topaz", "umber", "velvet", "willow", "yarrow", "zephyr", "aurora", "birch", "cedar", "delta",
    "echo", "fjord", "glacier", "harbor", "iris", "jade", "krypton", "lynx", "meadow", "nova",
    "opal", "prairie", "quiver", "reef", "summit", "tundra", "vortex", "walnut", "zenith",
)  # fmt: skip
DEPARTMENTS: tuple[str, ...] = (
    "Accounts",
    "Design",
    "Field Service",
    "Legal",
    "Logistics",
    "Research",
    "Sales",
)
PARTS = {Split.TEST: (0,), Split.DEV: (1,), Split.TRAIN: (2, 3)}
"""Of four, dealt in turn: which are a split's."""


class World:
    """Draws from what belongs to a split."""

    def __init__(self, seed: str, split: Split) -> None:
        self.rng = random.Random(seed)  # noqa: S311 - reproducible tasks, no secrets
        self.split = split

    def of(self, pool: Sequence[str], count: int) -> list[str]:
        """Different ones, in any order."""
        own = [one for index, one in enumerate(pool) if index % 4 in PARTS[self.split]]
        return self.rng.sample(own, count)

    def people(self, count: int) -> list[str]:
        """Full names, of which no two share a part while there are enough."""
        return [
            " ".join(names)
            for names in zip(self.of(FIRST, count), self.of(LAST, count), strict=True)
        ]

    def goods(self, count: int) -> list[str]:
        return self.of(GOODS, count)

    def towns(self, count: int) -> list[str]:
        return self.of(TOWNS, count)

    def codenames(self, count: int) -> list[str]:
        return self.of(CODENAMES, count)

    def number(self, low: int, high: int) -> int:
        return self.rng.randint(low, high)

    def numbers(self, count: int, low: int, high: int) -> list[int]:
        """Different ones."""
        return self.rng.sample(range(low, high + 1), count)

    def choice(self, among: Sequence[str]) -> str:
        return self.rng.choice(among)

    def shuffled(self, items: Sequence[str]) -> list[str]:
        return self.rng.sample(items, len(items))

    def date(self, year: int) -> str:
        return f"{year}-{self.number(1, 12):02}-{self.number(1, 28):02}"

    def code(self, length: int = 6) -> str:
        """Letters and digits that nobody guesses."""
        return "".join(self.rng.choices("ABCDEFGHJKMNPQRSTUVWXYZ23456789", k=length))
