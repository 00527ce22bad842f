"""What a notebook shows of an object: a heading, a few sentences and tables, as HTML in which every text is escaped.

Texts of data sets and files are untrusted: they are no markup, no formula (notebooks typeset dollar signs), and their
control characters, which can reorder a line or hide in it, are spelled out, here and on the page (`visible`).
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from demograd.errors import shortened

LONGEST_TEXT = 2_000
"""Characters of one text."""


@dataclass(frozen=True)
class Grid:
    """Rows under their columns' names."""

    rows: Sequence[Sequence[Any]]
    columns: Sequence[str] = ()
    title: str = ""


@dataclass(frozen=True)
class Tokens:
    """Tokens in their order, each in a box; some of them in a numbered frame."""

    texts: Sequence[str]
    spans: Sequence[tuple[int, int]] = ()
    """Start and end of each frame; they do not overlap."""
    title: str = ""
    rest: int = 0
    """How many more there are that are not shown."""

    @property
    def pieces(self) -> list[tuple[int, Sequence[str]]]:
        """Runs of tokens: (number of the frame, from one; zero outside any, tokens)."""
        pieces, end = [], 0
        for number, (start, stop) in enumerate(self.spans, 1):
            pieces += [(0, self.texts[end:start]), (number, self.texts[start:stop])]
            end = stop
        return [(number, texts) for number, texts in (*pieces, (0, self.texts[end:])) if texts]


_BOX = "border-left: 1px solid; margin-left: 2px; white-space: pre-wrap"
_FRAME = "border: 1px solid; border-radius: 3px; padding: 2px"
_PARTS = r"""
<div class="tex2jax_ignore mathjax_ignore" style="max-width: 60em">
<p><strong>{{ heading|shown }}</strong></p>
{% for sentence in sentences %}
<p>{{ sentence|shown }}</p>
{% endfor %}
{% if link %}
<p><a href="{{ link|urlencode }}">{{ link|shown }}</a></p>
{% endif %}
{% for part in parts %}
{% if part.title %}
<p style="margin-bottom: 0">{{ part.title|shown }}</p>
{% endif %}
{% if part.pieces is defined %}
<p style="line-height: 1.9">
{%- for number, texts in part.pieces %}
{%- if number %}<span style="{{ frame }}"><sup>{{ number }}</sup>{% endif %}
{%- for text in texts %}<code style="{{ box }}">{{ text|shown|replace("\n", "↵") }}</code>{% endfor %}
{%- if number %}</span> {% endif %}
{%- endfor %}
{%- if part.rest %} … and {{ "{:,}".format(part.rest) }} more tokens{% endif %}</p>
{% else %}
<table>
{% if part.columns %}
<thead><tr>{% for name in part.columns %}<th>{{ name|shown }}</th>{% endfor %}</tr></thead>
{% endif %}
<tbody>
{% for row in part.rows %}
<tr>{% for cell in row %}<td style="text-align: left; white-space: pre-wrap">{{ cell|shown }}</td>{% endfor %}</tr>
{% endfor %}
</tbody></table>
{% endif %}
{% endfor %}
</div>
"""
_BARS = """
<div class="tex2jax_ignore mathjax_ignore">
{% for sentence in sentences %}<div>{{ sentence|shown }}</div>
{% endfor %}
{% for label, value, total in rows %}
<div><progress value="{{ value }}" max="{{ total }}" aria-label="{{ label|shown }}"></progress> {{ label|shown }}</div>
{% endfor %}</div>
"""


def html(heading: str, *parts: Grid | Tokens, sentences: Iterable[str] = (), link: str = "") -> str:
    """The HTML of one object, for its `_repr_html_`; texts are escaped, and long ones shortened.

    `link` is the path of a page, relative to the notebook's folder.
    """
    return _rendered(_PARTS, heading=heading, parts=parts, sentences=list(sentences), link=link, box=_BOX, frame=_FRAME)


def bars(sentences: Sequence[str], rows: Sequence[tuple[str, int, int]]) -> str:
    """The HTML of sentences, and beneath them bars: a label, how much is done, and of how much."""
    return _rendered(_BARS, sentences=sentences, rows=rows)


def _rendered(template: str, **content: Any) -> str:
    from jinja2 import Environment, StrictUndefined  # only a notebook needs it

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["shown"] = shown
    return environment.from_string(template).render(content).strip()


def shown(value: Any) -> str:
    """A value as text without control characters, of bounded length."""
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return visible(shortened(text, LONGEST_TEXT))


def visible(text: str) -> str:
    """The text with every character but the line break that cannot be seen, or turns the direction of others, spelled
    out: `⟦U+202E⟧`."""
    return "".join(f"⟦U+{ord(sign):04X}⟧" if _is_hidden(sign) else sign for sign in text)


def _is_hidden(sign: str) -> bool:
    """Whether it is of control, format, private use or no character at all, or breaks lines as no line break does."""
    # the joiners of Persian and of emoji too: to a model they are tokens, and words with and without them look alike
    return sign != "\n" and unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
