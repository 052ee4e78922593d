#!/usr/bin/env python3
"""A real source package is unpacked, configured, compiled and passes its own checks inside a volume (GNU hello)."""
import glob
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402


KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"


def debian_sources():
    """Source lines for the archives of Debian that this machine takes packages from."""
    told = mounted.run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages",
                        "Origin: Debian"])
    return "".join(sorted({f"deb-src [signed-by={KEYS}] {line}\n" for line in told.splitlines()}))


class BuildTest(mounted.MountedTest):
    def fetch_source(self, package):
        """The unpacked source, in the volume."""
        mounted.need_tool("apt-get", "dpkg-source", "make", "cc")
        mounted.need(os.geteuid() == 0, "apt's signature check changes its user")
        apt = os.path.join(self.volume.root, "apt")
        os.makedirs(apt + "/lists/partial")
        with open(apt + "/sources.list", "w") as file:
            file.write(debian_sources())
        options = ["-o", f"Dir::Etc::sourcelist={apt}/sources.list", "-o", "Dir::Etc::sourceparts=/dev/null", "-o",
                   f"Dir::State::lists={apt}/lists", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Languages=none"]
        try:
            mounted.run(["apt-get", "-q", *options, "update"])
            mounted.run(["apt-get", "-q", *options, "source", package], cwd=self.mount.path)
        except AssertionError as problem:
            mounted.need(False, f"the source of {package} cannot be had: {problem}")
        return glob.glob(self.path(f"{package}-*/"))[0]

    def test_configure_make_check(self):
        source = self.fetch_source("hello")
        environment = {**os.environ, "FORCE_UNSAFE_CONFIGURE": "1", "LC_ALL": "C"}
        mounted.run(["./configure", "--quiet"], cwd=source, env=environment, timeout=1800)
        mounted.run(["make", "-s", "-j2"], cwd=source, env=environment, timeout=1800)
        told = mounted.run(["make", "check"], cwd=source, env=environment, timeout=1800)
        self.assertRegex(told, r"# FAIL: +0\n")
        self.assertRegex(told, r"# PASS: +[1-9]")
        made = os.stat(source + "src/hello.o").st_mtime_ns
        mounted.run(["make", "-s"], cwd=source, env=environment)
        self.assertEqual(made, os.stat(source + "src/hello.o").st_mtime_ns, "nothing was to be done again")
        self.remount()
        self.assertEqual("Hello, world!\n", mounted.run([source + "hello"], env=environment))
        mounted.run(["make", "-s", "install", f"DESTDIR={self.path('root')}"], cwd=source, env=environment)
        self.assertEqual("Hello, world!\n", mounted.run([self.path("root/usr/local/bin/hello")], env=environment))


if __name__ == "__main__":
    mounted.main()
