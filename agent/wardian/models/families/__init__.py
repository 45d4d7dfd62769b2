"""The families of models: how each spells its tool calls, and which one a template belongs to."""

from wardian.models.families.deepseek import DEEPSEEK, DEEPSEEK_FENCED, DEEPSEEK_TAGGED
from wardian.models.families.family import Family, Terminals, WrittenCall
from wardian.models.families.gemma import FUNCTION_GEMMA, GEMMA
from wardian.models.families.glm import GLM, GLM_COMPACT
from wardian.models.families.granite import GRANITE
from wardian.models.families.harmony import HARMONY
from wardian.models.families.hermes import HERMES
from wardian.models.families.kimi import KIMI
from wardian.models.families.llama3 import LLAMA3
from wardian.models.families.mistral import MISTRAL_LIST, MISTRAL_NAMED, MISTRAL_NUMBERED
from wardian.models.families.qwen_coder import QWEN_CODER

__all__ = [
    "FAMILIES",
    "HERMES",
    "MARKERS",
    "Family",
    "Terminals",
    "WrittenCall",
    "family_named",
    "family_of",
]

FAMILIES = (
    HARMONY,
    DEEPSEEK_TAGGED,
    DEEPSEEK_FENCED,
    DEEPSEEK,
    KIMI,
    MISTRAL_NUMBERED,
    MISTRAL_NAMED,
    MISTRAL_LIST,
    GEMMA,
    FUNCTION_GEMMA,
    GLM_COMPACT,
    GLM,
    QWEN_CODER,
    HERMES,
    GRANITE,
    LLAMA3,
)
"""The more particular before the more general: the first whose template it is."""

MARKERS = frozenset(marker for family in FAMILIES for marker in family.all_markers())
"""What steers any family's rendering or reading."""


_BY_NAME = {family.name: family for family in FAMILIES}


def family_named(name: str) -> Family:
    """The family of that name. Raises: KeyError."""
    return _BY_NAME[name]


def family_of(template: str | None) -> Family:
    """The family whose calls the template writes. For one that writes none, or in no known way,
    it is Hermes': those models are told how to call in words."""
    if template is None:
        return HERMES
    return next((family for family in FAMILIES if family.is_template(template)), HERMES)
