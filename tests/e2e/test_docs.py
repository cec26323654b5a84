"""The documents tell the truth: what they name exists, where they say it is; what they quote is
what the file says; the code they show compiles; the commands they show are commands.

A name is what stands in backticks. A block of C says in a comment before it where it is from:

    <!-- c: from FILE -->        it is a piece of that file, to the byte
    <!-- c: of the template -->  docs/templates.md: compiled together with the template before it
    <!-- output of PROGRAM -->   each line of the block is a line that the program prints
"""

import functools
import json
import os
import pathlib
import re
import shlex
import subprocess

import pytest

from conftest import BUILD, ENVIRON, ROOT, USHER, at_most

TRACKED = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, text=True,
                         capture_output=True, check=True).stdout.split("\n")[:-1]
TRACKED = [f for f in TRACKED if (ROOT / f).exists()]
DOCS = [f for f in TRACKED if f.endswith(".md")]
FOLDERS = {str(p) for f in TRACKED for p in pathlib.PurePath(f).parents}
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
# Parts of a name that stand for something else: tests/unit/<module>/<file>_test.c, app/sql/NAME.sql
STANDS_FOR = re.compile(r"<[a-z]+>|(?<![A-Z])(NAME|BUILD|FOLDER|PROGRAM|FILE)(?![A-Z])|\*")


@functools.cache
def text_of(path):
    return (ROOT / path).read_text(errors="replace")


@functools.cache
def words():
    """Every identifier of the sources, tools and tests; documents do not vouch for themselves."""
    found = set()
    for f in TRACKED:
        if not f.endswith(".md") and not f.startswith("tests/corpus/"):
            found.update(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", text_of(f)))
    return found


def blocks(doc):
    """(line number, language, comment before it, text) of each fenced block."""
    out, inside, before = [], None, ""
    for number, line in enumerate(text_of(doc).split("\n"), 1):
        if inside is None and line.startswith("```"):
            inside = (number, line[3:].strip(), before, [])
        elif inside and line.startswith("```"):
            out.append((*inside[:3], "\n".join(inside[3])))
            inside = None
        elif inside:
            inside[3].append(line)
        if inside is None:
            before = line if line.startswith("<!--") else ""
    assert inside is None, f"{doc}: a block does not end"
    return out


def prose(doc):
    """The document without its blocks, with its lines joined to paragraphs."""
    text = re.sub(r"^```.*?^```$", "", text_of(doc), flags=re.M | re.S)
    return re.sub(r"(?<!\n)\n(?![\n|*#-]|\d+\.)\s*", " ", text)


def names(doc):
    return re.findall(r"`([^`\n]+)`", prose(doc))


@functools.cache
def targets():
    return set(re.findall(r"^([a-z][a-z0-9-]*):", text_of("Makefile"), flags=re.M))


@functools.cache
def commands():
    """name -> the text of its help."""
    listing = subprocess.run([str(USHER), "--help"], text=True, capture_output=True).stdout
    found = re.findall(r"^  ([a-z]+(?: [a-z]+)?) {2,}\S", listing, flags=re.M)
    assert {"serve", "event import"} <= set(found)
    return {c: subprocess.run([str(USHER), *c.split(), "--help"], text=True,
                              capture_output=True, check=True).stdout for c in found}


def check_command(line):
    """`usher ...`, `make ...`, a tool or a test program, as a user would type it."""
    line, _, more = line.split("  ")[0].partition(" && ")
    if more:
        check_command(more)
    typed = shlex.split(line, comments=True)
    while typed and re.fullmatch(r"[A-Z_]+=\S*", typed[0]):
        typed.pop(0)
    if not typed:
        return
    program = typed[0]
    if program == "make":
        for word in typed[1:]:
            if "=" not in word and not word.startswith("build/"):
                assert word in targets(), f"make has no target {word}"
        return
    if program in ("usher", "build/usher"):
        if typed[1:] in ([], ["--help"], ["COMMAND", "--help"]):
            return
        two, one = " ".join(typed[1:3]), typed[1]
        command = two if two in commands() else one
        assert command in commands(), f"usher has no command {two!r}"
        # Every command takes every setting; the help of serve lists them.
        known = commands()[command] + commands()["serve"]
        for word in typed:
            if word.startswith("--") and word != "--help":
                assert re.search(rf"{word.split('=')[0]}\b", known), f"{command} takes no {word}"
        return
    if "/" in program and not program.startswith("/"):
        check_path(program)


def check_path(name):
    if name.startswith("build/"):  # what is built has a source
        rest = name.removeprefix("build/")
        rest = re.sub(r"^(asan|tsan)(/|$)", "", rest)
        if rest in ("", "usher", "libusher.a") or rest.startswith("lint-"):
            return
        assert STANDS_FOR.search(rest) or f"{rest}.c" in TRACKED, f"nothing builds {name}"
        return
    if name.startswith("gen/"):
        assert (BUILD / name).exists(), f"{name} is not generated"
        return
    if name.startswith("usher/"):
        name = f"include/{name}"
    name = name.rstrip("/")
    if STANDS_FOR.search(name):
        pattern = "[^/]+".join(map(re.escape, STANDS_FOR.sub("\0", name).split("\0")))
        assert any(re.fullmatch(pattern, f) for f in TRACKED), f"no file fits {name}"
        return
    # A tool that runs at build time is named without its .c.
    assert name in TRACKED or name in FOLDERS or f"{name}.c" in TRACKED, f"there is no {name}"


def check_address(path):
    """/docs and the like: a row of some table of routes."""
    rows = [r for f in ("app/web/routes.c", "examples/waits.c", "examples/hello.c",
                        "examples/notes.c") for r in re.findall(r'"(/[^"]*)"', text_of(f))]
    pattern = re.compile("|".join(re.sub(r"\\\{[a-z]+\\\}", "[^/]+", re.escape(r)) for r in rows))
    assert pattern.fullmatch(path), f"no route answers {path}"


def check_name(name):
    name = name.strip()
    if re.match(r"(make|usher|build/\S+|tools/\S+|bench/run)( |$)", name):
        check_command(name)
    elif re.match(r"/[a-z]", name) and not name.startswith("/usr/"):
        check_address(name)
    elif re.fullmatch(r"(GET|POST) /\S*", name):
        check_address(name.split()[1].split("?")[0])
    elif re.fullmatch(r"[A-Za-z_.<>*-]+(/[A-Za-z0-9_.<>*-]+)+/?", name):
        check_path(name)
    elif re.fullmatch(r"USHER_[A-Z_]+(=\S*)?", name):
        key, settings = name.split("=")[0].removeprefix("USHER_"), text_of("app/domain/settings.c")
        assert f'"{key}"' in settings or re.search(
            rf'"{key.removesuffix("_FILE")}"[^;]*?\.secret = true', settings), f"no setting {name}"
    elif re.fullmatch(
        r"(struct |enum |const struct |&|\.)?[A-Za-z_][A-Za-z0-9_]*(\(.*\)| =.*|\.\.\.|>.*|->.*)?",
                      name):
        word = re.search(r"[A-Za-z_][A-Za-z0-9_]*",
                         re.sub(r"^(const )?(struct|enum) ", "", name))[0]
        if name.endswith("..."):
            assert any(w.startswith(word) for w in words()), f"nothing begins with {word}"
        elif word.startswith("_") or word.endswith("_"):  # the unit or the prefix of a name
            assert any(word in w for w in words()), f"nothing is named with {word}"
        elif not STANDS_FOR.search(word):
            assert word in words(), f"the sources have no {word}"


@pytest.mark.parametrize("doc", DOCS)
def test_what_is_named_exists(doc):
    if not USHER.exists():
        pytest.fail("build/usher is not built")
    wrong = []
    for name in names(doc):
        try:
            check_name(name)
        except AssertionError as e:
            wrong.append(str(e).split("\n")[0])
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("doc", DOCS)
def test_links_lead_somewhere(doc):
    for link in LINK.findall(re.sub(r"^```.*?^```$", "", text_of(doc), flags=re.M | re.S)):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = os.path.normpath(os.path.join(os.path.dirname(doc), path)) if path else doc
        assert target in TRACKED or target in FOLDERS, f"{doc} links to {link}"
        if anchor:
            heads = [re.sub(r"[^a-z0-9 -]", "", h.lower()).strip().replace(" ", "-")
                     for h in re.findall(r"^#+ (.*)$", text_of(target), flags=re.M)]
            assert anchor in heads, f"{doc} links to {link}"


@pytest.mark.parametrize("doc", DOCS)
def test_names_are_in_the_files_that_are_given_for_them(doc):
    """`name` ([file](file)), `name` in [file](file), `name`, [file](file)"""
    pair = re.compile(r"`([A-Za-z_][A-Za-z0-9_]*)`(?: \(| in | of |, )\[[^\]]*\]\(([^)\s#]+)\)")
    for name, link in pair.findall(prose(doc)):
        target = os.path.normpath(os.path.join(os.path.dirname(doc), link))
        assert re.search(rf"\b{name}\b", text_of(target)), f"{doc}: {name} is not in {target}"


@pytest.mark.parametrize("doc", DOCS)
def test_code_is_quoted_from_files_that_are_built(doc):
    for line, language, before, code in blocks(doc):
        if language != "c" or before == "<!-- c: of the template -->":
            continue
        source = re.fullmatch(r"<!-- c: from (\S+) -->", before)
        assert source, f"{doc}:{line}: a block of C that does not say where it is from"
        assert source[1] in TRACKED, f"{doc}:{line}: there is no {source[1]}"
        assert f"\n{code}\n" in text_of(source[1]), f"{doc}:{line}: not so in {source[1]}"


@pytest.mark.parametrize("doc", DOCS)
def test_commands_that_are_shown_are_commands(doc):
    for line, language, before, shown in blocks(doc):
        if language == "" and not before.startswith("<!-- output"):
            for typed in shown.split("\n"):
                if re.match(r"(make|usher|build/\S+|tools/\S+|bench/run)( |$)", typed):
                    try:
                        check_command(typed)
                    except (AssertionError, ValueError) as e:
                        raise AssertionError(f"{doc}:{line}: {typed}: {e}") from None


@pytest.mark.parametrize("doc", DOCS)
def test_output_that_is_shown_is_printed(doc):
    for line, _, before, shown in blocks(doc):
        program = re.fullmatch(r"<!-- output of (\S+) -->", before)
        if program:
            path = BUILD / program[1].removeprefix("build/")
            printed = subprocess.run([str(path)], text=True, capture_output=True,
                                     timeout=at_most(60)).stdout
            for l in shown.split("\n"):
                assert l in printed.split("\n"), f"{doc}:{line}: {l}"


@pytest.mark.parametrize("header", [
    "src/base/base.h", "src/task/task.h", "src/record/record.h", "src/http/http.h", "src/sql/sql.h",
    "src/fetch/fetch.h", "src/jobs/jobs.h", "src/master/master.h", "app/domain/fest.h",
    "app/web/web.h", "app/cli/cli.h"])
def test_tables_of_contents_are_whole(header):
    contents = text_of(header).split("*/")[0]
    folder = os.path.dirname(header)
    for f in TRACKED:
        if os.path.dirname(f) == folder and f.endswith(".c"):
            name = os.path.basename(f)
            assert re.search(rf"(?<![a-z_]){re.escape(name)}",
                             contents), f"{header} leaves out {name}"
    for name in re.findall(r"(?<![a-z_/])[a-z_]+\.c\b", contents):
        assert f"{folder}/{name}" in TRACKED, f"{header} lists {name}"


def includes():
    """module -> the modules whose headers it includes; a public header is its module's."""
    library = {os.path.dirname(f)[4:] for f in TRACKED if f.startswith("src/")}

    def module(folder, header):
        name = header.replace("sim", "task") if folder == "usher" else folder
        return f"src/{name}" if name in library else f"app/{name}"

    out = {}
    for f in TRACKED:
        if not re.fullmatch(r"(src|app|include)/.*\.[ch]", f) or f == "include/usher/usher.h":
            continue
        public = re.fullmatch(r"include/usher/(\w+)\.h", f)
        here = module("usher", public[1]) if public else os.path.dirname(f)
        named = re.findall(r'^#include "(\w+)/(\w+)\.h"', text_of(f), flags=re.M)
        out.setdefault(here, set()).update(module(*n) for n in named
                                           if n[0] != "gen" and n != ("usher", "usher"))
    return {k: v - {k} for k, v in out.items()}


def test_the_arrows_of_the_floors_are_those_of_the_includes():
    def reach(folder):
        return arrows[folder].union(*(reach(f) for f in arrows[folder]))

    arrows = includes()
    needed = {f"{a} --> {b}" for a in arrows for b in arrows[a]
              if not any(b in reach(c) for c in arrows[a] if c != b)}
    drawn = next(b[3] for b in blocks("ARCHITECTURE.md") if b[1] == "mermaid")
    assert set(re.findall(r"\S+ --> \S+", drawn)) == needed


def test_the_template_of_its_reference_compiles(tmp_path):
    doc = "docs/templates.md"
    html = next(b[3] for b in blocks(doc) if b[1] == "html")
    code = next(b[3] for b in blocks(doc) if b[2] == "<!-- c: of the template -->")
    (tmp_path / "web").mkdir()
    (tmp_path / "web/views.h").write_text(
        '#pragma once\n#include "usher/base.h"\n'
        "struct person { const char *name; };\n"
        "struct ticket_view { const char *title, *slug; int seq; struct person *people;"
        " size_t people_count; };\n")
    (tmp_path / "frame.html").write_text('{{layout frame(const char *title)}}\n'
                                         "<title>{{title}}</title>{{body}}\n")
    (tmp_path / "page.html").write_text(html + "\n")
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\n#include "pages.h"\n'
        'int main(void)\n{\nstruct person p = {"A < B"};\n'
        'struct ticket_view view = {"Quiz", "quiz", 7, &p, 1};\n'
        f"{code}\nputs(page.at);\nreturn page.error;\n}}\n")
    subprocess.run([str(BUILD / "tools/tmplc"), "pages", "frame.html", "page.html"], cwd=tmp_path,
                   check=True)
    subprocess.run(["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-I.", f"-I{ROOT}/include", "-o", "page",
                    "main.c", "pages.c", str(BUILD / "libusher.a")], cwd=tmp_path, check=True)
    page = subprocess.run(["./page"], cwd=tmp_path, text=True, capture_output=True,
                          check=True).stdout
    assert "You are number 7." in page and "<li>A &lt; B</li>" in page and 'href="/e/quiz"' in page


def test_the_first_minutes_of_the_readme(fest):
    """`init`, then what the README says is to be seen, then its curl."""
    fest.usher("init")
    server = fest.serve("--workers", "1")
    readme = text_of("README.md")
    for path in re.findall(r"^\| http://127.0.0.1:8080(\S+) \|", readme, flags=re.M):
        assert server.get(path, Accept="text/html").status == 200, path
    assert server.get("/openapi.json").status == 200
    line = next(b[3] for b in blocks("README.md") if b[3].startswith("curl "))
    line = line.replace("127.0.0.1:8080", f"127.0.0.1:{server.port}").replace("curl", "curl -sS", 1)
    reply = json.loads(
        subprocess.run(["sh", "-c", line], text=True, capture_output=True, check=True,
                                      env=ENVIRON).stdout)
    assert reply["status"] == "confirmed" and reply["ticket"] and reply["manage_url"]
