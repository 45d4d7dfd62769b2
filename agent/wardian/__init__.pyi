# What type checkers see of the façade in `__init__.py`; a test holds that the two agree.

from wardian._version import __version__ as __version__
from wardian.agent import Agent as Agent
from wardian.approval import Answer as Answer
from wardian.errors import WardianError as WardianError
from wardian.models.block import block_real_models as block_real_models
from wardian.models.chat import ChatModel as ChatModel
from wardian.models.function import FunctionModel as FunctionModel
from wardian.models.litellm_model import LitellmModel as LitellmModel
from wardian.models.llama import LlamaModel as LlamaModel
from wardian.models.scripted import ScriptedModel as ScriptedModel
from wardian.results import RunResult as RunResult
from wardian.runs import RunStore as RunStore
from wardian.runs import Trajectory as Trajectory
from wardian.subagents import SubAgent as SubAgent
from wardian.types import Message as Message
from wardian.types import Model as Model
from wardian.types import Reply as Reply
from wardian.types import Sampling as Sampling
from wardian.types import Stop as Stop
from wardian.types import Task as Task
from wardian_policies import Policy as Policy
from wardian_policies.types import Budgets as Budgets
from wardian_tools import Tool as Tool
from wardian_tools import ToolContext as ToolContext
from wardian_tools import tool as tool
