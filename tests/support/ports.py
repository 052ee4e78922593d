"""TCP ports for servers that tests start."""
import random
import socket

# Below the range the kernel takes client ports from (32768 up), so that no connection gets the port between our look and the
# server's bind; and so low that the bus of a Redis Cluster node, 10000 above, lies below it too, and above all others.
LOWEST, HIGHEST = 10240, 20200


def free_ports(count):
    """Ports nobody listens on now. All are held until all are known, so they differ."""
    held = []
    try:
        while len(held) < count:
            try:
                held.append(socket.create_server(("127.0.0.1", random.randint(LOWEST, HIGHEST))))
            except OSError:
                continue
        return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()


def free_port():
    return free_ports(1)[0]
