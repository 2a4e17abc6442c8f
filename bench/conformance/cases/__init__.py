"""The cases, grouped by what they are about. Each module adds one group or more."""

from ..case import ALL
from . import (  # noqa: F401
    age,
    client,
    fields,
    freshness,
    messages,
    methods,
    ranges,
    requests,
    stale,
    statuses,
    storing,
    validation,
    vary,
)

GROUPS = list(ALL.values())
CASES = [case for group in GROUPS for case in group.cases]
