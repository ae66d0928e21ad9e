"""Runs a command apart from who started this: `detached.py COMMAND...`.

As a wrapper does that has its process run by somebody else, in a container or on another host:
whoever kills the wrapper does not reach the process. Its end is the wrapper's end too.
"""

import os
import signal
import sys

child = os.fork()
if child == 0:
    os.setsid()
    os.execvp(sys.argv[1], sys.argv[1:])
os.close(0)
signal.signal(signal.SIGTERM, lambda number, _: os.kill(child, number))
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status) & 0xFF)
