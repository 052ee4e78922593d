#!/usr/bin/env python3
"""SQLite databases with three writing processes: locks, fsync, truncation and shared mappings at work together."""
import multiprocessing
import os
import sqlite3
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import mounted  # noqa: E402

WRITERS, TRANSACTIONS, ROWS = 3, 40, 20


def write(path, writer):
    database = sqlite3.connect(path, timeout=120, isolation_level=None)
    for transaction in range(TRANSACTIONS):
        database.execute("begin immediate")
        for row in range(ROWS):
            database.execute("insert into t values (?, ?, ?)", (writer, transaction * ROWS + row, os.urandom(300)))
        database.execute("update total set n = n + ?", (ROWS,))
        database.execute("commit")
    database.close()


class SqliteTest(mounted.MountedTest):
    def three_writers(self, journal):
        path = self.path(f"{journal}.db")
        database = sqlite3.connect(path, isolation_level=None)
        self.assertEqual(journal, database.execute(f"pragma journal_mode={journal}").fetchone()[0])
        database.execute("create table t (writer int, n int, body blob, primary key (writer, n))")
        database.execute("create table total (n int)")
        database.execute("insert into total values (0)")
        database.close()
        writers = [multiprocessing.Process(target=write, args=(path, n)) for n in range(WRITERS)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(300)
            self.assertEqual(0, writer.exitcode)
        self.remount()
        database = sqlite3.connect(self.path(f"{journal}.db"))
        self.assertEqual("ok", database.execute("pragma integrity_check").fetchone()[0])
        expected = WRITERS * TRANSACTIONS * ROWS
        self.assertEqual(expected, database.execute("select count(*) from t").fetchone()[0])
        self.assertEqual(expected, database.execute("select n from total").fetchone()[0])
        database.close()

    def test_rollback_journal(self):
        self.three_writers("delete")

    def test_write_ahead_log(self):
        self.three_writers("wal")


if __name__ == "__main__":
    mounted.main()
