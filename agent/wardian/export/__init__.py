"""Recorded runs as datasets: one row a line, in the formats that trainers and viewers read."""

from wardian.export.card import card, write_card
from wardian.export.filters import Filters, Rating
from wardian.export.formats import FORMATS
from wardian.export.splitting import Split
from wardian.export.writing import Exported, export

__all__ = ["FORMATS", "Exported", "Filters", "Rating", "Split", "card", "export", "write_card"]
