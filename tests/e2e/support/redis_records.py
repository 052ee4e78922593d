"""Reads every key of a volume on Redis and says what is wrong with it: names that the format does not know, types, lengths, and
records that do not fit together. The layout is that of JuiceFS 1.4 (src/meta/FORMAT.md), written down here a second time."""
import json
import re
import socket
import struct

DIRECTORY, FILE, SYMLINK = 2, 1, 3
TRASH = 0x7FFFFFFF10000000
CHUNK = 64 << 20


class Connection:
    """As much of a Redis client as this needs; values are bytes."""

    def __init__(self, port, database):
        with socket.create_connection(("127.0.0.1", port)) as made:
            self.file = made.makefile("rwb")  # keeps it open
        self.call("SELECT", database)

    def call(self, *words):
        words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.file.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
        self.file.flush()
        return self.reply()

    def reply(self):
        line = self.file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise AssertionError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            if rest == b"-1":
                return None
            return self.file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self.reply() for _ in range(int(rest))]
        return rest

    def close(self):
        self.file.close()


def number(text):
    """The value of a decimal as JuiceFS writes it."""
    if not re.fullmatch(rb"0|-?[1-9][0-9]*", text):
        raise ValueError(f"no decimal: {text!r}")
    return int(text)


def need(condition, what):
    if not condition:
        raise ValueError(what)


def pieces(value, size):
    need(value and len(value) % size == 0, f"{len(value)} bytes")
    return [value[at:at + size] for at in range(0, len(value), size)]


class Attr:
    def __init__(self, raw):
        need(len(raw) in (72, 73, 80, 81) and raw[-1] == 0, f"an attribute of {len(raw)} bytes")
        self.type = raw[1] >> 4
        need(1 <= self.type <= 7, f"type {self.type}")
        self.nlink, self.length = struct.unpack(">IQ", raw[47:59])
        self.parent = struct.unpack(">Q", raw[63:71])[0]

    def space(self):
        return max(4096, -(-self.length // 4096) * 4096) if self.type == FILE else 4096


def check_setting(value):
    setting = json.loads(value)
    need(setting["Name"] and setting["UUID"], "no name")


def check_entry(name, value):
    need(0 < len(name) <= 255 and b"/" not in name and b"\0" not in name, f"name {name!r}")
    need(len(value) == 9 and 1 <= value[0] <= 7, f"entry {value!r}")


def check_slice(raw):
    pos, ident, size, off, length = struct.unpack(">IQIII", raw)
    need(length > 0 and pos + length <= CHUNK, f"slice at {pos}+{length}")
    need(ident == 0 and size == 0 or off + length <= size, f"slice {ident}: {off}+{length} of {size}")


def check_ranges(value):
    before = -1
    for raw in pieces(value, 24):
        kind, _, start, end = struct.unpack(">IIQQ", raw)
        need(kind in (0, 1) and before < start <= end, f"range {kind} {start}..{end}")
        before = end


def check_rule(value):
    users = struct.unpack(">I", value[8:12])[0]
    groups = struct.unpack(">I", value[12 + 6 * users:16 + 6 * users])[0]
    need(len(value) == 16 + 6 * (users + groups), f"an ACL rule of {len(value)} bytes")


def session_field(field):
    need(re.fullmatch(rb"[1-9][0-9]*_[0-9A-F]{16}", field), f"owner {field!r}")


def hash_of(field, value):
    return "hash", lambda key, records: [(field(name), value(each)) for name, each in zip(records[::2], records[1::2])]


def entries(key, records):
    for name, value in zip(records[::2], records[1::2]):
        check_entry(name, value)


def limits(value):
    need(len(value) == 16, f"a quota of {len(value)} bytes")


def flock_kind(value):
    need(value in (b"R", b"W"), f"flock {value!r}")


def slice_field(field):
    need(re.fullmatch(rb"k[1-9][0-9]*_[1-9][0-9]*", field), f"slice {field!r}")


def delayed_field(field):
    need(re.fullmatch(rb"[1-9][0-9]*_[1-9][0-9]*", field), f"delayed {field!r}")


def member_of(pattern):
    return lambda key, members: [need(re.fullmatch(pattern, member), f"member {member!r}") for member in members]


def receipts(key, records):
    for slot, value in zip(records[::2], records[1::2]):
        number(slot)
        need(re.match(rb"[0-9]{16}[+-]", value), f"receipt {value!r}")


def anything(_):
    pass


def json_value(value):
    json.loads(value)


DECIMAL = ("string", lambda key, value: number(value))
KNOWN = [
    (r"setting", ("string", lambda key, value: check_setting(value))),
    (r"i[0-9]+", ("string", lambda key, value: Attr(value))),
    (r"d[0-9]+", ("hash", entries)),
    (r"c[0-9]+_[0-9]+", ("list", lambda key, records: [check_slice(raw) for record in records for raw in (record,)])),
    (r"s[0-9]+", ("string", lambda key, value: need(0 < len(value) <= 4096, "target"))),
    (r"x[0-9]+", hash_of(anything, anything)),
    (r"p[0-9]+", hash_of(number, number)),
    (r"sliceRef", hash_of(slice_field, number)),
    (r"delSlices", hash_of(delayed_field, lambda value: pieces(value, 12))),
    (r"delfiles", ("zset", member_of(rb"[1-9][0-9]*:[0-9]+"))),
    (r"detachedNodes", ("zset", member_of(rb"[1-9][0-9]*"))),
    (r"allSessions", ("zset", member_of(rb"[1-9][0-9]*"))),
    (r"sessionInfos", hash_of(number, json_value)),
    (r"session[0-9]+", ("set", member_of(rb"[1-9][0-9]*"))),
    (r"locked[0-9]+", ("set", member_of(rb"lock[fp][1-9][0-9]*"))),
    (r"lockf[0-9]+", hash_of(session_field, flock_kind)),
    (r"lockp[0-9]+", hash_of(session_field, check_ranges)),
    (r"dir(DataLength|UsedSpace|UsedInodes)", hash_of(number, number)),
    (r"(dir|user|group)Quota", hash_of(number, limits)),
    (r"(dir|user|group)QuotaUsed(Space|Inodes)", hash_of(number, number)),
    (r"acl", hash_of(number, check_rule)),
    (r"(nextinode|nextchunk|nextsession|nextTrash|aclMaxId|usedSpace|totalInodes)", DECIMAL),
    (r"(lastCleanup(Sessions|Files|Trash)|nextCleanupSlices)", DECIMAL),
    (r"Kiseki:[0-9a-f]{16}", ("hash", receipts)),  # ours
]
READ = {"string": ("GET",), "hash": ("HGETALL",), "list": ("LRANGE", 0, -1), "set": ("SMEMBERS",), "zset": ("ZRANGE", 0, -1)}


def rule_for(name):
    return next((rule for pattern, rule in KNOWN if re.fullmatch(pattern, name)), None)


class Volume:
    """All records of a volume, and what is wrong with them."""

    def __init__(self, port, database=1):
        self.problems, self.records = [], {}
        server = Connection(port, database)
        server.call("CLIENT", "PAUSE", 60_000, "WRITE")  # all that follows is of one moment
        try:
            for key in server.call("KEYS", "*"):
                self.take(server, key)
        finally:
            server.call("CLIENT", "UNPAUSE")
            server.close()
        self.attrs = {int(name[1:]): Attr(value) for name, value in self.records.items() if re.fullmatch(r"i[0-9]+", name)}
        self.fit_together()

    def take(self, server, key):
        name = key.decode(errors="replace")
        rule = rule_for(name)
        kind = server.call("TYPE", key).decode()
        if rule is None or kind != rule[0]:
            self.problems.append(f"{name}: {'nobody knows this key' if rule is None else f'is a {kind}'}")
            return
        value = server.call(READ[kind][0], key, *READ[kind][1:])
        self.records[name] = value
        try:
            rule[1](name, value)
        except (ValueError, KeyError, struct.error, TypeError) as problem:
            self.problems.append(f"{name}: {problem}")
        if name.startswith("Kiseki:") and not 0 < server.call("TTL", key) <= 3600:
            self.problems.append(f"{name}: lives for ever")

    def names(self):
        """(directory, name, type, inode) of every entry."""
        for key, records in self.records.items():
            if re.fullmatch(r"d[0-9]+", key):
                for name, value in zip(records[::2], records[1::2]):
                    yield int(key[1:]), name, value[0], struct.unpack(">Q", value[1:9])[0]

    def members(self, pattern):
        return {int(member.split(b":")[0]) for key, members in self.records.items() if re.fullmatch(pattern, key) for member in members}

    def fit_together(self):
        links, subdirectories = {}, {}
        for directory, name, kind, ino in self.names():
            links[ino] = links.get(ino, 0) + 1
            attr = self.attrs.get(ino)
            if attr is None or attr.type != kind:
                self.problems.append(f"d{directory}: {name!r} is a {kind}, the inode {ino} is {attr and attr.type}")
            if kind == DIRECTORY:
                subdirectories[directory] = subdirectories.get(directory, 0) + 1
            if attr and attr.parent not in (0, directory):
                self.problems.append(f"i{ino}: parent {attr.parent}, but it is in {directory}")
        sustained = self.members(r"session[0-9]+")
        for ino, attr in self.attrs.items():
            if attr.type == DIRECTORY:
                want = 2 + subdirectories.get(ino, 0) if ino < TRASH else attr.nlink  # the trash does not count
            else:
                want = links.get(ino, 0)
            if attr.nlink != want:
                self.problems.append(f"i{ino}: {attr.nlink} links, {want} are there")
            if ino not in links and ino not in (1, TRASH) and ino not in sustained:
                self.problems.append(f"i{ino}: nothing leads there")
        deleted = self.members(r"delfiles")
        for key in self.records:
            owner = re.fullmatch(r"[csxp]([0-9]+)(_[0-9]+)?", key)
            if owner and int(owner[1]) not in self.attrs and not (key[0] == "c" and int(owner[1]) in deleted):
                self.problems.append(f"{key}: there is no such inode")
        self.count()
        self.count_references()

    def count_references(self):
        """Every record of a chunk, and every delayed entry, is one reference of its slice."""
        counted = {}
        for key, records in self.records.items():
            for record in records if re.fullmatch(r"c[0-9]+_[0-9]+", key) else ():
                _, ident, size, _, _ = struct.unpack(">IQIII", record)
                counted[(ident, size)] = counted.get((ident, size), 0) + (ident > 0)
        for delayed in self.records.get("delSlices", [])[1::2]:
            for named in struct.iter_unpack(">QI", delayed):
                counted[named] = counted.get(named, 0) + 1
        fields = iter(self.records.get("sliceRef", []))
        stored = {field.decode(): number(value) + 1 for field, value in zip(fields, fields)}
        for (ident, size), want in counted.items():
            got = stored.pop(f"k{ident}_{size}", 1)
            if ident and got != want:
                self.problems.append(f"slice {ident}: {got} references, {want} are there")
        self.problems += [f"{field}: {got} references, none is there" for field, got in stored.items() if got > 0]
        idents = [ident for ident, _ in counted if ident]
        self.problems += [f"slice {ident}: of two sizes" for ident in set(idents) if idents.count(ident) > 1]

    def count(self):
        live = [attr for ino, attr in self.attrs.items() if ino not in (1, TRASH)]
        for name, want in (("totalInodes", len(live)), ("usedSpace", sum(attr.space() for attr in live))):
            got = number(self.records.get(name, b"0"))
            if got != want:
                self.problems.append(f"{name}: {got}, counted {want}")
