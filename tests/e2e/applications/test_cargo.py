#!/usr/bin/env python3
"""cargo projects in a volume: what need not be compiled again is not, what must is, with and without a network."""
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402
from projects import needs_registry, write  # noqa: E402


class CargoTest(mounted.MountedTest):
    def setUp(self):
        mounted.need(shutil.which("cargo") and shutil.which("cc"), "cargo is not installed: apt-get install cargo build-essential")
        super().setUp()
        self.environment = {**os.environ, "CARGO_HOME": self.path("cargo-home"), "CARGO_TERM_COLOR": "never"}

    def make(self, dependencies, body):
        write(self.path("app/Cargo.toml"), f'[package]\nname = "app"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\n{dependencies}')
        write(self.path("app/src/main.rs"), body)

    def build(self, *words, run=mounted.run):
        """Builds, and answers what cargo said about it."""
        return run(["sh", "-c", 'exec cargo "$@" 2>&1', "cargo", "build", *words], cwd=self.path("app"), env=self.environment)

    def test_a_project_without_a_network(self):
        """A second build compiles nothing, a change compiles again: times are what cargo goes by."""
        write(self.path("app/part/Cargo.toml"), '[package]\nname = "part"\nversion = "0.1.0"\nedition = "2021"\n')
        write(self.path("app/part/src/lib.rs"), "pub fn number() -> u32 { 41 }\n#[test] fn right() { assert_eq!(41, number()); }\n")
        self.make('part = { path = "part" }\n', 'fn main() { println!("{}", part::number()); }\n')
        self.assertIn("Compiling part", self.build("--offline"))
        self.assertNotIn("Compiling", self.build("--offline"))
        self.remount()
        self.assertNotIn("Compiling", self.build("--offline"))
        self.assertEqual("41\n", mounted.run([self.path("app/target/debug/app")]))
        write(self.path("app/part/src/lib.rs"), "pub fn number() -> u32 { 42 }\n")
        self.assertIn("Compiling part", self.build("--offline"))
        self.assertEqual("42\n", mounted.run([self.path("app/target/debug/app")]))

    def test_a_project_with_dependencies(self):
        """Sources and index of the registry lie in the volume, and a build from them needs no network."""
        self.make('serde = { version = "1", features = ["derive"] }\nserde_json = "1"\n',
                  '#[derive(serde::Serialize)] struct Point { x: u8 }\n'
                  'fn main() { println!("{}", serde_json::to_string(&Point { x: 7 }).unwrap()); }\n')
        self.assertIn("Compiling serde_json", self.build(run=needs_registry))
        self.remount()
        mounted.run(["rm", "-rf", self.path("app/target")])
        self.assertIn("Compiling serde_json", self.build("--offline", "--locked"))
        self.assertEqual('{"x":7}\n', mounted.run([self.path("app/target/debug/app")]))


if __name__ == "__main__":
    mounted.main()
