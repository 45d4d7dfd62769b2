# What type checkers see of the façade in `__init__.py`; a test holds that the two agree.

from wardian_sandbox.choosing import BACKENDS as BACKENDS
from wardian_sandbox.doctor import Finding as Finding
from wardian_sandbox.doctor import probe as probe
from wardian_sandbox.egress.proxy import EgressProxy as EgressProxy
from wardian_sandbox.egress.rules import HostRule as HostRule
from wardian_sandbox.egress.rules import parse_host_rule as parse_host_rule
from wardian_sandbox.errors import SandboxError as SandboxError
from wardian_sandbox.errors import SandboxLost as SandboxLost
from wardian_sandbox.errors import SandboxUnavailable as SandboxUnavailable
from wardian_sandbox.opening import open_sandbox as open_sandbox
from wardian_sandbox.supervised import SupervisedSandbox as SupervisedSandbox
from wardian_sandbox.types import Confinement as Confinement
from wardian_sandbox.types import Egress as Egress
from wardian_sandbox.types import EgressEvent as EgressEvent
from wardian_sandbox.types import EgressLimits as EgressLimits
from wardian_sandbox.types import EgressOutcome as EgressOutcome
from wardian_sandbox.types import Ending as Ending
from wardian_sandbox.types import ExecResult as ExecResult
from wardian_sandbox.types import FileChange as FileChange
from wardian_sandbox.types import FileFailure as FileFailure
from wardian_sandbox.types import Limit as Limit
from wardian_sandbox.types import ResourceLimits as ResourceLimits
from wardian_sandbox.types import Sandbox as Sandbox
from wardian_sandbox.types import SandboxIdentity as SandboxIdentity
