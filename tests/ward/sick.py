"""All sick cases of the ward: each must be found, and called by its name."""

from tests.ward import (
    sick_contract,
    sick_forward,
    sick_gates,
    sick_losses,
    sick_outputs,
    sick_packed,
    sick_peepholes,
    sick_plain,
    whole,
)

GROUPS = (
    sick_contract,
    sick_forward,
    sick_gates,
    sick_packed,
    sick_plain,
    sick_peepholes,
    sick_losses,
    sick_outputs,
    whole,
)
CASES = [case for group in GROUPS for case in group.CASES]
