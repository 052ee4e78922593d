#!/usr/bin/env python3
"""A volume exported by an NFS server in user space (nfs-ganesha, which works by file handles) to a client without a kernel (libnfs)."""
import ctypes
import ctypes.util
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402

CONFIG = """
NFS_CORE_PARAM {{ NFS_Port = {port}; Protocols = 4; Enable_NLM = false; Enable_RQUOTA = false; Enable_UDP = false; Bind_addr = 127.0.0.1; }}
NFSV4 {{ Graceless = true; Only_Numeric_Owners = true; RecoveryRoot = {root}/recovery; }}
EXPORT {{ Export_Id = 1; Path = {path}; Pseudo = /vol; Access_Type = RW; Squash = None; SecType = sys; Filesystem_id = 7.7;
         FSAL {{ Name = VFS; }} }}
LOG {{ Default_Log_Level = EVENT; }}
"""


class Client:
    """libnfs: every call answers 0 or a count, or raises OSError."""

    def __init__(self, port):
        self.library = ctypes.CDLL("libnfs.so.13")
        for name in ("nfs_init_context", "nfs_parse_url_full"):
            getattr(self.library, name).restype = ctypes.c_void_p
        self.library.nfs_get_error.restype = ctypes.c_char_p
        self.context = ctypes.c_void_p(self.library.nfs_init_context())
        url = f"nfs://127.0.0.1/vol/?version=4&nfsport={port}"
        assert self.library.nfs_parse_url_full(self.context, url.encode())
        self("mount", b"127.0.0.1", b"/vol")

    def __call__(self, name, *arguments):
        result = getattr(self.library, "nfs_" + name)(self.context, *arguments)
        if result < 0:
            raise OSError(-result, self.library.nfs_get_error(self.context).decode())
        return result

    def open(self, path, flags, call="open"):
        handle = ctypes.c_void_p()
        self(call, path.encode(), flags, ctypes.byref(handle))
        return handle

    def read(self, handle, size):
        body = b""
        while len(body) < size:
            piece = ctypes.create_string_buffer(65536)
            count = self("pread", handle, ctypes.c_uint64(len(body)), ctypes.c_uint64(min(65536, size - len(body))), piece)
            if count == 0:
                break
            body += piece.raw[:count]
        return body

    def write(self, handle, body):
        for at in range(0, len(body), 1024):  # what this libnfs can encode
            piece = body[at:at + 1024]
            assert len(piece) == self("pwrite", handle, ctypes.c_uint64(at), ctypes.c_uint64(len(piece)), piece)

    def put(self, path, body):
        self("close", self.open(path, 0o644, "creat"))
        handle = self.open(path, os.O_WRONLY)
        self.write(handle, body)
        self("close", handle)

    def get(self, path, size):
        handle = self.open(path, os.O_RDONLY)
        try:
            return self.read(handle, size)
        finally:
            self("close", handle)


class NfsTest(mounted.MountedTest):
    def setUp(self):
        mounted.need(os.geteuid() == 0, "the server opens file handles, which only root may")
        mounted.need_tool("ganesha.nfsd")
        mounted.need(ctypes.util.find_library("nfs"), "libnfs is not installed")
        super().setUp()
        self.port = mounted.free_port()
        self.server = None
        self.addCleanup(self.stop)
        self.serve()

    def serve(self):
        root = self.volume.root
        os.makedirs(root + "/recovery", exist_ok=True)
        with open(root + "/ganesha.conf", "w") as file:
            file.write(CONFIG.format(root=root, path=self.mount.path, port=self.port))
        self.server = subprocess.Popen(["ganesha.nfsd", "-F", "-f", root + "/ganesha.conf", "-L", root + "/ganesha.log", "-p",
                                        root + "/ganesha.pid"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while True:
            try:
                self.client = Client(self.port)
                return
            except OSError:
                self.assertIsNone(self.server.poll(), "nfs-ganesha ended")
                self.assertLess(time.monotonic(), deadline, "nfs-ganesha does not answer")
                time.sleep(0.3)

    def stop(self):
        if self.server:
            self.server.kill()
            self.server.wait()

    def test_both_ways(self):
        """README: a mounted volume can be exported by NFS with nfs-ganesha."""
        bodies = {f"f{size}": os.urandom(size) for size in (0, 1, 4097, 3_000_001)}
        os.mkdir(self.path("here"))
        self.client("mkdir", b"/there")
        for name, body in bodies.items():
            with open(self.path("here", name), "wb") as file:
                file.write(body)
            self.client.put(f"/there/{name}", body)
        for name, body in bodies.items():
            self.assertTrue(self.client.get(f"/here/{name}", len(body) + 1) == body, name)
            with open(self.path("there", name), "rb") as file:
                self.assertTrue(file.read() == body, name)
        self.client("rename", b"/there/f1", b"/here/moved")
        self.assertEqual({"f0", "f1", "f4097", "f3000001", "moved"}, set(os.listdir(self.path("here"))))
        self.client("unlink", b"/here/f0")
        with self.assertRaises(OSError):
            self.client.open("/here/f0", os.O_RDONLY)

    def test_handles_survive(self):
        """SEMANTICS: file handles (name_to_handle_at, NFS) stay good while the file exists, also over renames."""
        body = os.urandom(100_000)
        self.client.put("/f", body)
        handle = self.client.open("/f", os.O_RDONLY)
        os.mkdir(self.path("d"))
        os.rename(self.path("f"), self.path("d/g"))
        with open("/proc/sys/vm/drop_caches", "w") as control:
            control.write("2")
        self.assertTrue(self.client.read(handle, len(body)) == body)
        self.client("close", handle)
        self.stop()
        self.remount()
        self.serve()
        self.assertTrue(self.client.get("/d/g", len(body)) == body)


if __name__ == "__main__":
    mounted.main()
