"""The text of a methods section: paragraphs of sentences that cite sources, as Markdown and as LaTeX."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from demograd.report.paper import latex_text, markdown

SOURCES = {
    "Dai 2023": "dai2023",
    "Deutch 2024": "deutch2024",
    "Shen 2023": "shen2023",
    "von Oswald 2023a": "vonoswald2023a",
    "von Oswald 2023b": "vonoswald2023b",
    "Ahn 2023": "ahn2023",
    "Cheng 2024": "cheng2024",
    "Akyürek 2023": "akyurek2023",
    "Pan 2023": "pan2023",
    "Min 2022": "min2022",
    "Hu 2021": "hu2021",
    "Li and Liang 2021": "li2021",
    "Hendel 2023": "hendel2023",
    "Todd 2023": "todd2023",
    "Khandelwal 2020": "khandelwal2020",
    "Han 2023": "han2023",
    "Olsson 2022": "olsson2022",
}
"""What the code calls a source → its key in `published/sources.bib`."""


@dataclass(frozen=True)
class Cite:
    """A citation of these entries of the bibliography."""

    keys: tuple[str, ...]


Sentence = tuple[str | Cite, ...]


@dataclass(frozen=True)
class Paragraph:
    """Sentences under a heading."""

    title: str
    sentences: tuple[Sentence, ...]


def say(*pieces: str | Cite) -> Sentence:
    """A sentence of text and citations."""
    return pieces


def cite(*keys: str) -> Cite:
    """A citation; its keys are those of `published/sources.bib`."""
    return Cite(keys)


def cite_sources(text: str) -> Iterator[Cite]:
    """The citation of the sources that a text names, such as `Dai 2023; Deutch 2024, §2.2`; or nothing."""
    keys = tuple(key for name, key in SOURCES.items() if re.search(rf"\b{name}\b", text))
    if keys:
        yield Cite(keys)


def keys_of(paragraphs: Iterable[Paragraph]) -> list[str]:
    """The entries that these paragraphs cite, in the order of their first citation."""
    pieces = (piece for paragraph in paragraphs for sentence in paragraph.sentences for piece in sentence)
    return list(dict.fromkeys(key for piece in pieces if isinstance(piece, Cite) for key in piece.keys))


def as_markdown(paragraphs: Iterable[Paragraph], title: str) -> str:
    """Markdown with pandoc's citations, `[@dai2023; @deutch2024]`."""

    def piece(part: str | Cite) -> str:
        if isinstance(part, Cite):
            return f" [{'; '.join(f'@{key}' for key in part.keys)}]"
        return markdown.escaped(part)

    texts = [f"# {markdown.escaped(title)}"]
    for paragraph in paragraphs:
        body = " ".join("".join(map(piece, sentence)) for sentence in paragraph.sentences)
        texts.append(f"**{markdown.escaped(paragraph.title)}.** {body}")
    return "\n\n".join(texts) + "\n"


def as_latex(paragraphs: Iterable[Paragraph], title: str) -> str:
    r"""LaTeX: a section, a `\paragraph` each, and `\cite`."""

    def piece(part: str | Cite) -> str:
        return rf"~\cite{{{','.join(part.keys)}}}" if isinstance(part, Cite) else latex_text.escaped(part)

    texts = [rf"\section{{{latex_text.escaped(title)}}}\label{{sec:methods}}"]
    for paragraph in paragraphs:
        body = "\n".join("".join(map(piece, sentence)) for sentence in paragraph.sentences)
        texts.append(rf"\paragraph{{{latex_text.escaped(paragraph.title)}.}}" + f"\n{body}")
    return "\n\n".join(texts) + "\n"
