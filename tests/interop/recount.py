"""Counts what a volume's SQLite database should say about itself, from its nodes and edges alone."""
import sqlite3
import struct

FILE, DIRECTORY = 1, 2
TRASH = 0x7FFFFFFF10000000


def space_of(length):
    return max(4096, (length + 4095) // 4096 * 4096)


class Recount:
    def __init__(self, path):
        database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
        self.nodes = {row[0]: row[1:] for row in database.execute("select inode, type, nlink, length, parent from jfs_node")}
        self.edges = database.execute("select parent, name, inode, type from jfs_edge").fetchall()
        self.counters = dict(database.execute("select name, value from jfs_counter").fetchall())
        self.stats = {row[0]: row[1:] for row in database.execute("select inode, data_length, used_space, used_inodes from jfs_dir_stats")}
        self.sustained = {row[0] for row in database.execute("select inode from jfs_sustained")}
        self.sessions = database.execute("select count(*) from jfs_session2").fetchone()[0]
        database.close()

    def usage(self):
        """(space, inodes): every node but the root and the trash root."""
        counted = [node for inode, node in self.nodes.items() if inode not in (1, TRASH)]
        return sum(space_of(node[2] if node[0] == FILE else 0) for node in counted), len(counted)

    def stored_usage(self):
        return self.counters["usedSpace"], self.counters["totalInodes"]

    def stats_differences(self):
        """Lines for every directory whose stored statistics are not the sums over its direct children."""
        wanted = {inode: [0, 0, 0] for inode, node in self.nodes.items() if node[0] == DIRECTORY}
        for parent, _, inode, kind in self.edges:
            if parent not in wanted:
                continue
            length = self.nodes[inode][2] if kind == FILE and inode in self.nodes else 0
            wanted[parent][0] += length
            wanted[parent][1] += space_of(length)
            wanted[parent][2] += 1
        return [f"dir {inode}: stored {self.stats[inode]}, counted {tuple(sums)}" for inode, sums in wanted.items()
                if inode in self.stats and self.stats[inode] != tuple(sums)]

    def structure_differences(self):
        """Lines for dangling edges, orphans and wrong link counts."""
        names, folders, lines = {}, {}, []
        for parent, name, inode, kind in self.edges:
            node = self.nodes.get(inode)
            if node is None:
                lines.append(f"{name!r} in {parent} names inode {inode}, which does not exist")
                continue
            if node[0] != kind:
                lines.append(f"{name!r} in {parent}: edge of type {kind}, node of type {node[0]}")
            names[inode] = names.get(inode, 0) + 1
            if kind == DIRECTORY:
                folders[parent] = folders.get(parent, 0) + 1
                if node[3] != parent:
                    lines.append(f"directory {inode} lies in {parent} and says {node[3]}")
        for inode, (kind, nlink, _, _) in self.nodes.items():
            if inode in (1, TRASH):
                continue
            if inode not in names and inode not in self.sustained:
                lines.append(f"inode {inode} has no name")
            elif kind == DIRECTORY and nlink != 2 + folders.get(inode, 0):
                lines.append(f"directory {inode}: nlink {nlink}, sub-directories {folders.get(inode, 0)}")
            elif kind != DIRECTORY and inode in names and nlink != names[inode]:
                lines.append(f"inode {inode}: nlink {nlink}, names {names[inode]}")
        return lines


def reference_differences(path):
    """Lines for every slice whose stored count of references is not the number of records and delayed entries that name it."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
    database.text_factory = bytes  # JuiceFS appends records as text
    counted = {}
    for (records,) in database.execute("select slices from jfs_chunk"):
        for _, slice_id, *_ in struct.iter_unpack(">IQIII", records):
            counted[slice_id] = counted.get(slice_id, 0) + 1
    for (entries,) in database.execute("select slices from jfs_delslices"):
        for slice_id, _ in struct.iter_unpack(">QI", entries):
            counted[slice_id] = counted.get(slice_id, 0) + 1
    counted.pop(0, None)
    stored = dict(database.execute("select chunkid, refs from jfs_chunk_ref where refs > 0"))
    database.close()
    return [f"slice {slice_id}: counted {counted.get(slice_id, 0)}, stored {stored.get(slice_id, 0)}"
            for slice_id in sorted(counted.keys() | stored.keys()) if counted.get(slice_id, 0) != stored.get(slice_id, 0)]


def schema(path):
    """{object name: SQL text} of the whole database."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
    told = {name: sql for name, sql in database.execute("select name, sql from sqlite_master where name not like 'sqlite_%'")}
    database.close()
    return told
