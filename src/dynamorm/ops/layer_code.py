"""What the code of a layer does with the flow it wraps: found out once, where a plugin is registered.

A flow that is made and not run leaves no trace: nothing is sent, nothing fails. So it is looked for in the code.
"""

from __future__ import annotations

import dis
import sys
from itertools import pairwise
from types import CodeType
from typing import Any

_UNKNOWN_CODE = (3, 14)
"""The first version of Python that this has not been tried with."""

_RESULT = {0, -1}
"""Where the result of a call lies, from where what is called lay: a NULL stood below that in Python 3.11 and 3.12, and above since."""


def goes_astray(function: Any, inner: Any) -> str:
    """How a generator function makes a flow of ``inner`` and does not run it, in words; empty where it does nothing such.

    Only what is certain is told: a flow that is returned or dropped right where it is made, on versions of Python whose
    code is known.
    """
    if sys.version_info >= _UNKNOWN_CODE:
        return ""
    code: CodeType = function.__code__
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            is_inner = cell.cell_contents is inner
        except ValueError:  # it is filled later
            continue
        if is_inner and (astray := _astray(code, name)):
            return astray
    return ""


def _astray(code: CodeType, name: str) -> str:
    instructions = list(dis.get_instructions(code))
    for number, instruction in enumerate(instructions):
        if instruction.opname == "LOAD_DEREF" and instruction.argval == name:
            behind = _behind_the_call(instructions[number + 1 :])
            if behind == "POP_TOP":
                return f"calls {name}(...) without `yield from`"
            if behind == "RETURN_VALUE":
                return f"returns {name}(...) without `yield from`"
    return ""


def _behind_the_call(instructions: list[dis.Instruction]) -> str:
    """The instruction behind the call of what was loaded; empty where it cannot be told."""
    depth = 0
    for instruction, following in pairwise(instructions):
        if instruction.opcode in dis.hasjrel or instruction.opcode in dis.hasjabs:
            return ""
        depth += dis.stack_effect(instruction.opcode, instruction.arg)
        if instruction.opname.startswith("CALL") and depth in _RESULT:
            return following.opname
        if depth < 0:
            return ""  # it was used for something else, such as the argument of another call
    return ""
