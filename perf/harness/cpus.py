"""Which CPUs the two sides of a measurement have."""
import contextlib
import os


def add_argument(usage):
    usage.add_argument("--server-cpus", type=lambda text: {int(number) for number in text.split(",")}, default=set(), metavar="N[,N...]",
                       help="the server's own CPUs; all else keeps to the others, as if the server were a machine of its own")


@contextlib.contextmanager
def server_starts(cpus):
    """What is started within keeps to `cpus`, what is started afterwards to the others; with none, nothing changes."""
    everywhere = os.sched_getaffinity(0)
    if cpus and not everywhere - cpus:
        raise SystemExit(f"--server-cpus: of CPUs {sorted(everywhere)} none is left for the client")
    os.sched_setaffinity(0, cpus or everywhere)
    try:
        yield
    finally:
        os.sched_setaffinity(0, everywhere - cpus)
