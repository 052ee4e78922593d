#!/usr/bin/env python3
"""Every sentence of SEMANTICS.md, and every part of it between semicolons, is quoted by a test, and every quote still stands there.

A test quotes in a comment or a docstring, in one line: `SEMANTICS: some words of one sentence`. Case and line breaks of
the page do not count, and a full stop may be left out. Several quotes may stand in one test, each in its own line.
    promises.py SEMANTICS.md TESTS     check
    promises.py --self-test            prove that what is missing is found
"""
import pathlib
import re
import sys
import tempfile

QUOTE = re.compile(r'SEMANTICS: ([^\n]*?)\s*(?:"""|\*/|$)', re.MULTILINE)
HEADINGS = re.compile(r"^#.*$|\*\*[^*]+\*\*", re.MULTILINE)


def plain(text):
    return re.sub(r"\s+", " ", text.replace("`", "")).strip().lower()


def sentences(page):
    """Those of the page, without its headings; what stands between semicolons counts as one."""
    body = HEADINGS.sub("\n\n", page)
    found = []
    for paragraph in re.split(r"\n\s*\n", body):
        found += re.split(r"(?<=;)\s+|(?<=[.])\s+(?=[A-Z`'])", re.sub(r"\s+", " ", paragraph).strip())
    return [sentence for sentence in found if sentence]


def quotes(tests):
    """(file, line, words) of every quote below a folder."""
    for path in sorted(tests.rglob("*")):
        if path.suffix not in (".py", ".cpp", ".hpp") or path.name == "promises.py":
            continue
        text = path.read_text(errors="replace")
        for match in QUOTE.finditer(text):
            yield path.relative_to(tests), text[:match.start()].count("\n") + 1, plain(match.group(1)).rstrip(".")


def complaints(page, tests):
    known = {sentence: False for sentence in sentences(page)}
    told = []
    for file, line, words in quotes(tests):
        said = [sentence for sentence in known if words and words in plain(sentence)]
        if not said:
            told.append(f"tests/{file}:{line}: no sentence of SEMANTICS.md says: {words}")
        for sentence in said:
            known[sentence] = True
    return told + [f"SEMANTICS.md: no test quotes: {sentence}" for sentence, quoted in known.items() if not quoted]


def self_test():
    page = "# What\n\n**Names.** Names are `bytes`, up to\n255. Links are short.\n\nNothing else."
    with tempfile.TemporaryDirectory() as folder:
        tests = pathlib.Path(folder)
        (tests / "a_test.cpp").write_text("// SEMANTICS: names are bytes, up to 255\n// SEMANTICS: links are long\n")
        (tests / "b_test.py").write_text('"""SEMANTICS: nothing else."""\n')
        got = complaints(page, tests)
    want = ["tests/a_test.cpp:2: no sentence of SEMANTICS.md says: links are long", "SEMANTICS.md: no test quotes: Links are short."]
    if got != want:
        sys.exit(f"self-test: want {want}, got {got}")


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    found = complaints(pathlib.Path(sys.argv[1]).read_text(), pathlib.Path(sys.argv[2]))
    if found:
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
