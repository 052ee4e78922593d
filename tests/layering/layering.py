#!/usr/bin/env python3
"""Reads every #include under src/ and fails on an edge that points back.

    cli -> fuse -> vfs -> { meta ; chunk -> object } -> net -> core

A room may include itself and what stands to its right; meta and chunk/object do not know each other.
    layering.py SRC            check a tree
    layering.py --self-test    prove that bad edges are found
"""
import pathlib
import re
import sys
import tempfile

RIGHT_OF = {
    "core": [],
    "net": ["core"],
    "object": ["net", "core"],
    "chunk": ["object", "net", "core"],
    "meta": ["net", "core"],
    "vfs": ["meta", "chunk", "object", "net", "core"],
    "fuse": ["vfs", "meta", "chunk", "object", "net", "core"],
    "cli": ["fuse", "vfs", "meta", "chunk", "object", "net", "core"],
}
# Only the composition root names concrete engines; everybody else speaks to the interface and opens by URL.
CONCRETE = re.compile(r"^meta/(sqlite|redis|postgres|memory)/")
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


def bad_edges(src):
    """Every include that breaks the order, as 'file: includes what, why'."""
    found = []
    for path in sorted(src.rglob("*")):
        if path.suffix not in (".cpp", ".hpp", ".h") or not path.is_file():
            continue
        file = path.relative_to(src)
        room = file.parts[0]
        if room not in RIGHT_OF:
            found.append(f"{file}: room '{room}' is not in the plan; add it to tests/layering/layering.py")
            continue
        for target in INCLUDE.findall(path.read_text(errors="replace")):
            there = target.split("/")[0]
            if "/" not in target or there not in RIGHT_OF:
                found.append(f'{file}: "{target}" is not rooted at src/ (write "room/file.hpp")')
            elif there != room and there not in RIGHT_OF[room]:
                found.append(f'{file}: includes "{target}", but {room} may not know {there}')
            elif there != room and CONCRETE.match(target) and room != "cli":
                found.append(f'{file}: includes "{target}", but only cli names concrete engines')
    return found


def self_test():
    cases = {
        "core/a.hpp": ('#include "meta/client.hpp"\n', 1),
        "meta/a.cpp": ('#include "object/store.hpp"\n', 1),
        "chunk/a.cpp": ('  #  include "meta/attr.hpp"\n#include "object/store.hpp"\n', 1),
        "vfs/a.cpp": ('#include "fuse/session.hpp"\n#include "chunk/block.hpp"\n', 1),
        "fuse/a.cpp": ('#include "meta/sqlite/engine.hpp"\n', 1),
        "object/a.cpp": ('#include "neighbour.hpp"\n', 1),
        "attic/a.cpp": ("int x;\n", 1),
        "cli/a.cpp": ('#include <vector>\n#include "meta/sqlite/engine.hpp"\n#include "fuse/session.hpp"\n', 0),
        "vfs/b.hpp": ('#include "core/result.hpp"\n#include "meta/client.hpp"\n#include "vfs/data.hpp"\n', 0),
    }
    with tempfile.TemporaryDirectory() as name:
        src = pathlib.Path(name)
        for file, (text, _) in cases.items():
            (src / file).parent.mkdir(exist_ok=True)
            (src / file).write_text(text)
        edges = bad_edges(src)
        for file, (_, expected) in cases.items():
            hits = [edge for edge in edges if edge.startswith(f"{file}:")]
            if len(hits) != expected:
                sys.exit(f"self-test: {file}: {expected} bad edges expected, found {hits}")
    print("self-test: every planted bad edge was found, and nothing else")


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    src = pathlib.Path(sys.argv[1])
    edges = bad_edges(src)
    for edge in edges:
        print(edge)
    if edges:
        sys.exit(f"{len(edges)} includes point the wrong way")
    print("every include points the right way")


main()
