#!/usr/bin/env python3
"""A Python environment in a volume: made, filled from a wheel, used, and emptied."""
import os
import sys
import zipfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402


class PythonTest(mounted.MountedTest):
    def wheel(self):
        """A package with a module and a command, as a wheel: a zip file whose names and words are prescribed."""
        files = {"greeting/__init__.py": "def main():\n    print('hello from the volume')\n",
                 "greeting/data.txt": "x" * 100_000,
                 "greeting-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n",
                 "greeting-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
                 "greeting-1.0.dist-info/entry_points.txt": "[console_scripts]\ngreet = greeting:main\n"}
        record = "".join(f"{name},,\n" for name in [*files, "greeting-1.0.dist-info/RECORD"])
        path = self.path("greeting-1.0-py3-none-any.whl")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in {**files, "greeting-1.0.dist-info/RECORD": record}.items():
                archive.writestr(name, text)
        return path

    def test_a_virtual_environment(self):
        try:
            import ensurepip  # noqa: F401
        except ImportError:
            mounted.need(False, "this Python has no ensurepip (python3-venv)")
        mounted.run([sys.executable, "-m", "venv", self.path("venv")])
        pip = [self.path("venv/bin/python"), "-m", "pip", "--disable-pip-version-check"]
        mounted.run([*pip, "install", "--no-index", "--no-cache-dir", self.wheel()])
        self.assertEqual("hello from the volume\n", mounted.run([self.path("venv/bin/greet")]))
        self.remount()
        self.assertEqual("hello from the volume\n", mounted.run([self.path("venv/bin/greet")]))
        mounted.run([*pip, "check"])
        mounted.run([self.path("venv/bin/python"), "-m", "compileall", "-qf", self.path("venv")])
        mounted.run([*pip, "uninstall", "-y", "greeting"])
        self.assertFalse(os.path.exists(self.path("venv/bin/greet")))


if __name__ == "__main__":
    mounted.main()
