"""Ties a stage to its supervisor: ``tether.py SUPERVISOR_PID LOCK COMMAND…`` becomes COMMAND.

Should the supervisor be killed outright, the kernel sends the stage a SIGTERM, on which it drains
and stops as usual; nothing is orphaned. Only Linux can do this; elsewhere COMMAND just runs.
The lock is held, shared, as long as the stage lives: a system that is started in its place waits.
"""

import ctypes
import fcntl
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>; the setting survives execve(2)


def main() -> None:
    """Tie this process to its parent, then become the stage."""
    supervisor_pid, lock_path, *command = sys.argv[1:]
    lock = os.open(lock_path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_SH)
    os.set_inheritable(lock, True)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != int(supervisor_pid):  # it died before the line above took effect
            sys.exit("the supervisor is gone")
    os.execv(command[0], command)  # noqa: S606 - its own arguments


if __name__ == "__main__":
    main()
