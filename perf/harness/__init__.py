"""The parts of perf/run: what is mounted, what is measured, and how it is told."""
