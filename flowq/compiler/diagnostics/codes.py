"""The codes of diagnostics: stable, never reused. `docs/errors.md` explains each; a test compares the two."""

from enum import StrEnum
from typing import Final


class Code(StrEnum):
    """The codes of problems in a flow file. The hundreds digit is the stage that reports it."""

    # 0xx: the file and its YAML
    UNREADABLE = "FQ001"
    TOO_LARGE = "FQ002"
    NOT_UTF8 = "FQ003"
    CONTROL_CHARACTER = "FQ004"
    SYNTAX = "FQ010"
    TOO_DEEP = "FQ011"
    TOO_MANY_NODES = "FQ012"
    DUPLICATE_KEY = "FQ013"
    TAG = "FQ014"
    SEVERAL_DOCUMENTS = "FQ015"
    NUMBER = "FQ016"
    ALIAS = "FQ017"
    MERGE = "FQ018"
    KEY = "FQ019"
    EMPTY = "FQ020"
    DOTENV = "FQ021"
    PARAMS_FILE = "FQ022"
    ALLOWANCE = "FQ023"
    # 1xx: the shape of the flow
    UNKNOWN_KEY = "FQ101"
    WRONG_TYPE = "FQ102"
    WRONG_VALUE = "FQ103"
    MISSING_KEY = "FQ104"
    SEVERAL_ACTIONS = "FQ105"
    NO_ACTION = "FQ106"
    NOT_YET = "FQ107"
    MISPLACED_KEY = "FQ108"
    NAME = "FQ109"
    DURATION = "FQ110"
    CALLABLE = "FQ111"
    RETRY = "FQ112"
    UNKNOWN_TEMPLATE = "FQ113"
    TEMPLATE_CYCLE = "FQ114"
    ENV_NAME = "FQ115"
    SECRET = "FQ117"  # noqa: S105 - a code, as the next one
    UNKNOWN_SECRET = "FQ118"  # noqa: S105
    CACHE = "FQ120"
    CACHE_NEVER = "FQ121"
    ARTIFACTS = "FQ122"
    # 2xx: parameters
    UNKNOWN_PARAM = "FQ201"
    MISSING_PARAM = "FQ202"
    PARAM_TYPE = "FQ203"
    PARAM_RULE = "FQ204"
    PARAM_DECLARATION = "FQ205"
    PARAM_PATTERN = "FQ206"
    # 3xx: the graph
    UNKNOWN_JOB = "FQ301"
    CYCLE = "FQ302"
    DUPLICATE_DEPENDENCY = "FQ303"
    MATRIX = "FQ304"
    TOO_MANY_JOBS = "FQ305"
    EXCLUDE_NOTHING = "FQ306"
    EMPTY_MATRIX = "FQ307"
    MATCH = "FQ308"
    MATCH_NOTHING = "FQ309"
    STAGE = "FQ310"
    SUB_FLOW = "FQ311"
    SUB_FLOW_CYCLE = "FQ312"
    SUB_FLOW_IGNORES = "FQ313"
    FETCH = "FQ314"
    SAME_PLACE = "FQ315"
    # 4xx: expressions
    EXPRESSION = "FQ401"
    UNKNOWN_NAME = "FQ402"
    NAME_NOT_HERE = "FQ403"
    UNKNOWN_JOB_NAME = "FQ404"
    NOT_AN_ANCESTOR = "FQ405"
    MAYBE_ABSENT = "FQ406"
    TYPE = "FQ407"
    FUNCTION = "FQ408"
    EVALUATION = "FQ409"
    # 5xx: scripts
    UNSAFE_PLACE = "FQ501"
    UNKNOWN_SHELL = "FQ502"
    PROTECTED_ENV = "FQ503"
    SECRET_LEAK = "FQ504"  # noqa: S105
    SECRET_UNREAD = "FQ505"  # noqa: S105
    SHEBANG = "FQ506"
    # 6xx: callables
    NO_MODULE = "FQ601"
    BROKEN_MODULE = "FQ602"
    NO_CALLABLE = "FQ603"
    ARGUMENTS = "FQ604"
    ARGUMENT_TYPE = "FQ605"
    NO_LOCAL_MODULE = "FQ606"
    NO_INTERPRETER = "FQ607"
    OLD_INTERPRETER = "FQ608"
    # 7xx: likely mistakes
    SKIPPED_TOO = "FQ701"
    UNUSED = "FQ702"
    NEVER_REACHED = "FQ703"
    RETRY_NEVER = "FQ704"
    NEVER_HOLDS = "FQ705"
    DEFAULT_TAKES_ALL = "FQ706"
    EXCEPTION_NAME = "FQ707"
    UNEXPANDED = "FQ708"
    UNMARKED = "FQ709"
    # 8xx: what starts runs, and messages about them
    WHEN = "FQ801"
    CRON = "FQ802"
    SCHEDULE_TIME = "FQ803"
    NO_SCHEDULE = "FQ804"
    START_VALUE = "FQ805"
    TRIGGER = "FQ806"
    TRIGGER_NAME = "FQ807"
    NOTICE = "FQ808"
    TRIGGER_CYCLE = "FQ809"
    PROJECT = "FQ810"
    CATCH_UP_ALL = "FQ811"
    SKIPPED_HOUR = "FQ812"


WARNINGS: Final = frozenset(
    {
        Code.ALLOWANCE,
        *(Code.EXCLUDE_NOTHING, Code.EMPTY_MATRIX, Code.MATCH_NOTHING, Code.SUB_FLOW_IGNORES),
        *(Code.NO_MODULE, Code.BROKEN_MODULE, Code.CACHE_NEVER, Code.NO_INTERPRETER),
        *(Code.SKIPPED_TOO, Code.UNUSED, Code.NEVER_REACHED, Code.RETRY_NEVER, Code.NEVER_HOLDS),
        *(Code.DEFAULT_TAKES_ALL, Code.EXCEPTION_NAME, Code.UNEXPANDED, Code.UNMARKED),
        *(Code.SECRET_LEAK, Code.SECRET_UNREAD, Code.SHEBANG),
        *(Code.CATCH_UP_ALL, Code.SKIPPED_HOUR),
    }
)
"""Codes that do not prevent a run."""
