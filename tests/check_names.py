"""Names and fragments: `python tests/check_names.py FOLDER…` fails on banned names, `--count FOLDER…` counts.

A name says what a thing is in the field's word; pronouns and participles say nothing. The syntax tree is read, not the
text, so a word in a sentence or a library's `torch.where` is no finding. `--count` prints what tells fragments from
ideas: lines, files, the median file, files of one importer, names with two meanings, banned names per 1,000 lines.
"""

import ast
import io
import re
import sys
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median

BANNED = frozenset(
    [
        "asked",
        "begun",
        "called",
        "drawn",
        "each",
        "every",
        "found",
        "gathered",
        "given",
        "gone",
        "here",
        "it",
        "kept",
        "known",
        "made",
        "meant",
        "mended",
        "named",
        "of",
        "one",
        "ones",
        "opened",
        "said",
        "seen",
        "taken",
        "their",
        "theirs",
        "them",
        "there",
        "these",
        "they",
        "those",
        "told",
        "tried",
        "wanted",
        "what",
        "where",
        "which",
        "who",
        "whose",
    ]
)
SETTINGS = frozenset(["which"])
"""Names of settings that users have in their study files: a field of a class may have them."""
FRAGMENT = 70
"""A file under so many lines that one file alone imports belongs into that file."""


def bound_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, name) of everything that a file names: variables, parameters, functions, classes, attributes, fields."""
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    fields = {line.target for node in classes for line in node.body if isinstance(line, ast.AnnAssign)}
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) if name in SETTINGS and node in fields:
                continue
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() | ast.ExceptHandler(name=str()):
                yield node.lineno, str(node.name)
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield node.lineno, name
            case ast.alias(asname=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield node.lineno, name


def findings(path: Path) -> Iterator[tuple[int, str]]:
    """(line, sentence) of each banned name and of each comment that switches the formatter off."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    yield from ((line, f"the name {name}") for line, name in bound_names(tree) if name.strip("_").lower() in BANNED)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and re.search(r"fmt:\s*(skip|off)", token.string):
            yield token.start[0], f"the comment {token.string}"


def count(roots: list[Path], files: list[Path]) -> None:
    """Print the table; importers and names with two meanings are those of packages, not of tests."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in files}
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    modules = {
        ".".join(path.relative_to(root).with_suffix("").parts): path
        for root in roots
        for path in files
        if path.is_relative_to(root)
    }
    importers, homes = defaultdict[Path, set[Path]](set), defaultdict[str, set[Path]](set)
    for path, tree in trees.items():
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith(("_", "test_")):
                homes[node.name].add(path)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
                    if name in modules and path.name != "__init__.py":
                        importers[modules[name]].add(path)
    fragments = [path for path in files if lines[path] < FRAGMENT and len(importers[path]) == 1]
    ambiguous = sorted(name for name, places in homes.items() if len(places) > 1)
    banned = sum(sentence.startswith("the name") for path in files for _, sentence in findings(path))
    docstrings = [
        ast.get_docstring(node) or ""
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
    ]
    total = sum(lines.values())
    print(f"lines {total:,}; files {len(files)}; median file {median(lines.values()):.0f} lines")
    print(f"files under {FRAGMENT} lines with one importer: {len(fragments)}")
    print(f"public names defined in more than one file: {len(ambiguous)} ({', '.join(ambiguous)})")
    print(f"banned names: {banned}, {1000 * banned / total:.1f} per 1,000 lines")
    print(f'docstrings that begin with "Of": {sum(text.startswith("Of ") for text in docstrings)}')


def main(arguments: list[str]) -> int:
    """Check or count the folders and files that are named; the exit code says whether something was found."""
    roots = [Path(argument) for argument in arguments if argument != "--count"]
    files = sorted({file for root in roots for file in (root.rglob("*.py") if root.is_dir() else [root])})
    if "--count" in arguments:
        count(roots, files)
        return 0
    sentences = [f"{path}:{line}: {sentence}" for path in files for line, sentence in findings(path)]
    print("\n".join(sentences), end="\n" * bool(sentences))
    return 1 if sentences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
