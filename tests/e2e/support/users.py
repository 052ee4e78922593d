"""Doing something as an ordinary user; only root can."""
import os

NOBODY = 65534


def as_user(action, uid=NOBODY, gid=NOBODY):
    """Runs `action` in a process of that user; answers its errno, 0 for success, 255 for anything else."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            action()
            os._exit(0)
        except OSError as problem:
            os._exit(problem.errno)
        except BaseException:
            os._exit(255)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
