"""
The local stack: real engines on this machine, without containers. See README.md in this folder.

`up`, `down`, `status`, `restart` and `kill` are all that others need; tests and the demo use them as the command line does.
"""

from z0.stack.control import down, kill, log, restart, up
from z0.stack.program import Program, ProgramStatus, Report, State
from z0.stack.watch import status

__all__ = ["Program", "ProgramStatus", "Report", "State", "down", "kill", "log", "restart", "status", "up"]
