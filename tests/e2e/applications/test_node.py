#!/usr/bin/env python3
"""npm projects in a volume: linked workspaces, packed packages, and hundreds of them from the registry."""
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402
from projects import needs_registry, write  # noqa: E402


class NpmTest(mounted.MountedTest):
    def setUp(self):
        mounted.need(shutil.which("npm") and shutil.which("node"), "npm is not installed: apt-get install npm")
        super().setUp()
        self.npm = ["npm", "--cache", self.path("cache"), "--no-audit", "--no-fund"]

    def test_a_workspace_without_a_network(self):
        """npm links workspaces, packs one and installs the package."""
        write(self.path("app/package.json"), json.dumps({"name": "app", "version": "1.0.0", "workspaces": ["parts/*"]}))
        for name, needs in (("one", {}), ("two", {"one": "1.0.0"})):
            write(self.path(f"app/parts/{name}/package.json"),
                  json.dumps({"name": name, "version": "1.0.0", "main": "index.js", "dependencies": needs}))
        write(self.path("app/parts/one/index.js"), "module.exports = () => 'one'\n")
        write(self.path("app/parts/two/index.js"), "module.exports = () => require('one')() + ' two'\n")
        mounted.run([*self.npm, "install", "--offline"], cwd=self.path("app"))
        self.assertTrue(os.path.islink(self.path("app/node_modules/two")))
        self.assertEqual("one two\n", mounted.run(["node", "-e", "console.log(require('two')())"], cwd=self.path("app")))
        packed = mounted.run([*self.npm, "pack", "--silent"], cwd=self.path("app/parts/one")).strip()
        write(self.path("other/package.json"), json.dumps({"name": "other", "version": "1.0.0"}))
        mounted.run([*self.npm, "install", "--offline", self.path("app/parts/one", packed)], cwd=self.path("other"))
        self.remount()
        self.assertEqual("one\n", mounted.run(["node", "-e", "console.log(require('one')())"], cwd=self.path("other")))

    def test_a_project_of_many_packages(self):
        """The same lock file installs the same bytes a second time, from the cache in the volume."""
        write(self.path("web/package.json"), json.dumps({"name": "web", "version": "1.0.0", "dependencies": {"express": "^4"}}))
        needs_registry([*self.npm, "install"], cwd=self.path("web"))
        first = mounted.tree_of(self.path("web/node_modules"), times=False)
        self.assertGreater(len(first), 300)
        self.remount()
        needs_registry([*self.npm, "ci", "--prefer-offline"], cwd=self.path("web"))  # removes node_modules first
        self.assertEqual([], mounted.differences(first, mounted.tree_of(self.path("web/node_modules"), times=False)))
        mounted.run([*self.npm, "ls", "--all"], cwd=self.path("web"))
        mounted.run([*self.npm, "cache", "verify"])
        self.assertEqual("function\n", mounted.run(["node", "-e", "console.log(typeof require('express'))"], cwd=self.path("web")))


if __name__ == "__main__":
    mounted.main()
