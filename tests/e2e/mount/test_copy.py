#!/usr/bin/env python3
"""Real trees copied in: after unmount and mount every byte and attribute is what it was."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402

SOURCES = ["/usr/include", "/usr/share/perl"]


class CopyTest(mounted.MountedTest):
    def test_trees_survive_a_remount(self):
        present = [source for source in SOURCES if os.path.isdir(source)]
        mounted.need(present, f"none of {SOURCES} exists")
        for source in present:
            mounted.run(["cp", "-a", source, self.path()])
        self.remount()
        for source in present:
            with self.subTest(source=source):
                want, got = mounted.owned_here(mounted.tree_of(source)), mounted.tree_of(self.path(os.path.basename(source)))
                self.assertGreater(len(want), 100)
                self.assertEqual([], mounted.differences(want, got))

    def test_tar_round_trip_and_removal(self):
        source = next(filter(os.path.isdir, reversed(SOURCES)), None)
        mounted.need(source, f"none of {SOURCES} exists")
        os.mkdir(self.path("tree"))
        mounted.run(["sh", "-c", f"tar --format=posix -cf - -C {source} . | tar xf - -C {self.path('tree')}"])
        self.assertEqual([], mounted.differences(mounted.owned_here(mounted.tree_of(source)), mounted.tree_of(self.path("tree"))))
        mounted.run(["rm", "-rf", self.path("tree")])
        self.assertFalse(os.path.exists(self.path("tree")))


if __name__ == "__main__":
    mounted.main()
