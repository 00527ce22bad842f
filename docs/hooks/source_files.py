"""Links from the manual to a file of the repository, such as `../src/demograd/api.py`, lead to a page that shows it."""

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

LINK = re.compile(r"\]\((?P<path>(?:\.\./)+[\w./-]+\.(?:py|yaml|csv))\)")
LANGUAGES = {".py": "python", ".yaml": "yaml", ".csv": "text"}
ROOT = Path(__file__).parents[2]


def on_files(files: Files, config: MkDocsConfig) -> None:
    """mkdocs: a page for each file of the repository that a link names, and links to these pages."""
    shown: set[str] = set()

    def link(match: re.Match[str], folder: str) -> str:
        target = normpath(f"docs/{folder}/{match['path']}")
        if target.startswith("docs/"):
            return match[0]
        shown.add(target)
        return f"]({relpath(f'source/{target}.md', folder)})"

    for file in list(files.documentation_pages()):
        folder = str(PurePosixPath(file.src_uri).parent)
        markdown = LINK.sub(lambda match, folder=folder: link(match, folder), file.content_string)
        if markdown != file.content_string:
            file.content_string = markdown
    for path in sorted(shown):
        files.append(File.generated(config, f"source/{path}.md", content=as_page(path)))


def as_page(path: str) -> str:
    """A file of the repository as a page of Markdown, which the search leaves out.

    **Raises:** FileNotFoundError if there is none.
    """
    text = (ROOT / path).read_text(encoding="utf-8").rstrip()
    language = LANGUAGES[Path(path).suffix]
    return f"---\nsearch: {{exclude: true}}\nhide: [toc]\n---\n\n# `{path}`\n\n````{language}\n{text}\n````\n"
