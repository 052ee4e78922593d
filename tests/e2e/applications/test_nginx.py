#!/usr/bin/env python3
"""nginx serves a volume with sendfile: every byte it sends is the file's, also of files that have just been replaced."""
import http.client
import os
import random
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402

SIZES = (0, 1, 4095, 4096, 100_001, (4 << 20) + 1, 40 << 20)
CONFIG = """
daemon off; master_process off; pid {root}/nginx.pid; error_log {root}/nginx.log warn;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {root}/nginx-body; proxy_temp_path {root}/nginx-proxy; fastcgi_temp_path {root}/nginx-fast;
  uwsgi_temp_path {root}/nginx-uwsgi; scgi_temp_path {root}/nginx-scgi;
  server {{
    listen 127.0.0.1:{port};
    location /sendfile/ {{ alias {files}/; sendfile on; sendfile_max_chunk 1m; }}
    location /read/ {{ alias {files}/; sendfile off; }}
    location /direct/ {{ alias {files}/; sendfile off; directio 4k; }}
  }}
}}
"""


class NginxTest(mounted.MountedTest):
    def setUp(self):
        mounted.need_tool("nginx")
        super().setUp()
        self.bodies = {f"f{size}": random.Random(size).randbytes(size) for size in SIZES}
        for name, body in self.bodies.items():
            self.write(name, body)
        self.remount()
        self.port = mounted.free_port()
        config = os.path.join(self.volume.root, "nginx.conf")
        with open(config, "w") as file:
            file.write(CONFIG.format(root=self.volume.root, files=self.mount.path, port=self.port))
        self.server = subprocess.Popen(["nginx", "-p", self.volume.root, "-c", config, "-e", self.volume.root + "/nginx.log"])
        self.addCleanup(self.stop)
        for _ in range(400):
            try:
                return self.get("/sendfile/f0")
            except OSError:
                time.sleep(0.05)
        self.fail("nginx did not start")

    def stop(self):
        self.server.kill()
        self.server.wait()

    def write(self, name, body):
        """A new file over the old one, as deployments do it."""
        with open(self.path(name + ".new"), "wb") as file:
            file.write(body)
        os.replace(self.path(name + ".new"), self.path(name))

    def get(self, path, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def test_whole_files_and_ranges(self):
        for way in ("sendfile", "read", "direct"):
            for name, body in self.bodies.items():
                with self.subTest(way=way, name=name):
                    status, got = self.get(f"/{way}/{name}")
                    self.assertEqual(200, status)
                    self.assertTrue(got == body, f"{len(got)} bytes, want {len(body)}")
            body = self.bodies[f"f{40 << 20}"]
            for start, end in ((0, 0), (4095, 70_000), ((4 << 20) - 3, (8 << 20) + 5), ((40 << 20) - 10, (40 << 20) - 1)):
                with self.subTest(way=way, range=(start, end)):
                    status, got = self.get(f"/{way}/f{40 << 20}", Range=f"bytes={start}-{end}")
                    self.assertEqual(206, status)
                    self.assertTrue(got == body[start:end + 1])

    def test_files_replaced_while_served(self):
        """What is sent is one whole version, whichever was there."""
        versions = [bytes([number]) * 3_000_001 for number in range(10)]
        self.write("page", versions[0])
        wrong, done = [], threading.Event()

        def read():
            while not done.is_set():
                status, got = self.get("/sendfile/page")
                if status != 200 or got not in versions:
                    wrong.append((status, len(got), set(got)))

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        for body in versions * 3:
            self.write("page", body)
        done.set()
        for reader in readers:
            reader.join()
        self.assertEqual([], wrong)


if __name__ == "__main__":
    mounted.main()
