#!/usr/bin/env python3
"""git, which renames, links, locks and maps files, works in a volume and finds nothing wrong with it."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402

IDENTITY = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b",
            "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}


class GitTest(mounted.MountedTest):
    def git(self, *arguments):
        return mounted.run(["git", "-C", self.path("work"), *arguments], env={**os.environ, **IDENTITY})

    def test_a_repository_lives_here(self):
        mounted.need_tool("git")
        source = "/usr/share/perl"
        mounted.need(os.path.isdir(source), f"{source} does not exist")
        mounted.run(["cp", "-a", source, self.path("work")])
        self.git("init", "-q")
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "all")
        self.git("checkout", "-q", "-b", "other")
        for number in range(5):
            with open(self.path("work", f"new{number}"), "w") as file:
                file.write(f"{number}\n" * 1000)
            self.git("add", "-A")
            self.git("commit", "-q", "-m", str(number))
        self.git("gc", "-q", "--prune=now")
        self.git("fsck", "--full", "--strict")
        self.remount()
        self.git("fsck", "--full", "--strict")
        self.assertEqual("", self.git("status", "--porcelain"))
        self.git("checkout", "-q", "-")
        self.assertFalse(os.path.exists(self.path("work", "new0")))
        self.git("merge", "-q", "other")
        self.assertEqual("", self.git("status", "--porcelain"))


if __name__ == "__main__":
    mounted.main()
