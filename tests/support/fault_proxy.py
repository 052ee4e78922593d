#!/usr/bin/env python3
"""An HTTP proxy in front of a server, in a thread of the test, that breaks what passes through it as the test says.

    with FaultProxy(port_of_server) as proxy:     # clients speak to proxy.port
        proxy.fault = Fault("reset_reply", share=0.2)

Faults, each for a share of the requests: delay, throttle (of the reply), busy (503 SlowDown), short_reply (the body ends early),
reset_reply (the same, by RST), half_request (the request's body stops half way, then RST), lose_reply (the server has done it, the
client never hears), flip (one bit of a GET's whole body), black_hole (nothing is answered until the fault is taken away),
refuse (RST at once). Knows requests and replies with Content-Length, which is all that S3 stores and Kiseki exchange.
"""
import asyncio
import random
import re
import socket
import struct
import threading

PIECE = 1 << 16


class Fault:
    def __init__(self, kind="none", share=1.0, seconds=0.0, bytes_per_second=0, methods=("GET", "PUT", "HEAD", "DELETE", "POST")):
        self.kind, self.share, self.seconds, self.methods = kind, share, seconds, methods
        self.bytes_per_second = bytes_per_second


class Cut(Exception):
    """The connection ends here; `hard` by RST."""

    def __init__(self, hard=True):
        self.hard = hard


class FaultProxy:
    def __init__(self, server_port, seed=1):
        self.server_port, self.random = server_port, random.Random(seed)
        self.fault = Fault()
        self.done = {}  # kind: how often

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.server = asyncio.run_coroutine_threadsafe(self.listen(), self.loop).result(10)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_):
        self.fault = Fault()
        asyncio.run_coroutine_threadsafe(self.end(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    async def end(self):
        self.server.close()
        connections = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await asyncio.sleep(0)  # transports end a turn later

    async def listen(self):
        return await asyncio.start_server(self.serve, "127.0.0.1", 0, limit=1 << 20)

    async def serve(self, reader, writer):
        up_reader = up_writer = None
        hard = False
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if up_writer is None:
                    up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.server_port, limit=1 << 20)
                await self.exchange(head, reader, writer, up_reader, up_writer)
        except Cut as cut:
            hard = cut.hard
        except (asyncio.IncompleteReadError, asyncio.CancelledError, OSError):
            pass
        finally:
            if hard:
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            for end in (up_writer, writer):
                if end:
                    end.transport.abort() if hard else end.close()

    def drawn(self, method):
        """The fault this request meets, if any."""
        fault = self.fault
        if fault.kind == "none" or method not in fault.methods or self.random.random() >= fault.share:
            return Fault()
        self.done[fault.kind] = self.done.get(fault.kind, 0) + 1
        return fault

    async def exchange(self, head, reader, writer, up_reader, up_writer):
        method = head.split(b" ", 1)[0].decode()
        size = length_of(head)
        fault = self.drawn(method)
        if fault.kind == "refuse":
            raise Cut()
        if fault.kind == "black_hole":
            while self.fault is fault:
                await asyncio.sleep(0.05)
            raise Cut()
        if fault.kind == "busy":
            await drain(reader, size)
            text = b"<Error><Code>SlowDown</Code></Error>"
            writer.write(b"HTTP/1.1 503 Slow Down\r\nContent-Length: %d\r\n\r\n" % len(text) + (b"" if method == "HEAD" else text))
            return
        up_writer.write(head)
        await relay(reader, up_writer, size // 2 if fault.kind == "half_request" else size)
        if fault.kind == "half_request":
            raise Cut()
        reply = await up_reader.readuntil(b"\r\n\r\n")
        body = 0 if method == "HEAD" else length_of(reply)
        if fault.kind == "lose_reply":
            await drain(up_reader, body)
            raise Cut()
        await asyncio.sleep(fault.seconds)
        writer.write(reply)
        await self.reply_body(fault, reply, body, up_reader, writer)

    async def reply_body(self, fault, reply, body, up_reader, writer):
        if fault.kind in ("short_reply", "reset_reply") and body > 1:
            await relay(up_reader, writer, body // 2)
            raise Cut(fault.kind == "reset_reply")
        if fault.kind == "flip" and body > 0 and b"x-amz-meta-crc32c" in reply.lower() and whole(reply):
            data = bytearray(await up_reader.readexactly(body))
            data[self.random.randrange(body)] ^= 1 << self.random.randrange(8)
            writer.write(bytes(data))
            await writer.drain()
            return
        await relay(up_reader, writer, body, fault.bytes_per_second)


def length_of(head):
    found = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
    return int(found.group(1)) if found else 0


def whole(reply):
    """Whether this reply carries all of an object, by its Content-Range."""
    found = re.search(rb"\r\ncontent-range: *bytes (\d+)-(\d+)/(\d+)", reply, re.IGNORECASE)
    return not found or (found.group(1) == b"0" and int(found.group(2)) + 1 == int(found.group(3)))


async def relay(reader, writer, size, bytes_per_second=0):
    while size > 0:
        piece = await reader.read(min(size, PIECE))
        if not piece:
            raise Cut(hard=False)
        size -= len(piece)
        if bytes_per_second:
            await asyncio.sleep(len(piece) / bytes_per_second)
        writer.write(piece)
        await writer.drain()


async def drain(reader, size):
    while size > 0:
        piece = await reader.read(min(size, PIECE))
        if not piece:
            return
        size -= len(piece)
