"""What a notebook shows of objects: all of them as HTML, in which no text of a data set is markup."""

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tests.observe.conftest import random_prompts as random_prompts  # the fixture

from demograd import load_task, observe
from demograd.display import LONGEST_TEXT, Grid, Tokens, bars, html, shown, visible
from demograd.study import Run, RunFolder, make_study
from demograd.tasks import Prompts, Task

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)> $x$ \u202eabc\u2066 &amp; \x1b[2J\u200b"
STUDY = {"name": "small", "tasks": ["mr"], "methods": ["GD"], "learning_rates": {"GD": [0.1]}}
ELEMENTS = {"div", "p", "strong", "a", "span", "sup", "code", "table", "thead", "tbody", "tr", "th", "td", "progress"}


class _Reader(HTMLParser):
    """The elements, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def _safe(page: str) -> _Reader:
    """The page, after proof that it has no elements and attributes but its own, and no character that is not seen."""
    reader = _Reader(page)
    assert set(reader.elements) <= ELEMENTS
    assert {name for name, _ in reader.attributes} <= {"class", "style", "href", "value", "max", "aria-label"}
    assert not set("\u202e\u2066\u200b\x1b") & set(page)
    assert dict(reader.attributes)["class"] == "tex2jax_ignore mathjax_ignore", "dollar signs are no formulas"
    return reader


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """A task whose texts, words and name want to be more than text."""
    lines = [json.dumps({"text": f"{number} {HOSTILE}", "label": number % 2}) for number in range(60)]
    (tmp_path / "films.jsonl").write_text("\n".join(lines), encoding="utf-8")
    words = {"0": "<b>no</b>", "1": "yes"}
    return load_task(tmp_path / "films.jsonl", template="<i>{text}</i> Sentiment:", label_words=words)


class Letters:
    """A tokenizer whose tokens are the letters' numbers."""

    def __call__(self, text: str) -> list[int]:
        return list(map(ord, text))

    def decode(self, ids: list[int]) -> str:
        return "".join(map(chr, ids))


def _prompts(**settings: Any) -> Prompts:
    """Five queries behind two demonstrations of two letters, and the separator and BOS around them."""
    return Prompts(
        list(map(ord, "^ab\ncd\n")), [list(map(ord, HOSTILE))] * 5, [[32, 65], [32, 60]], [1, 0] * 2 + [0], **settings
    )


def test_hostile_text_stays_text(task: Task, tmp_path: Path) -> None:
    reader = _safe(task._repr_html_())
    assert "<script>alert(1)</script>" in reader.text and "<i>{text}</i>" in reader.text
    assert "⟦U+202E⟧abc⟦U+2066⟧" in reader.text and "⟦U+001B⟧[2J⟦U+200B⟧" in reader.text
    assert HOSTILE[:25] in _safe(_prompts(tokenizer=Letters())._repr_html_()).text

    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    finding = {"about": HOSTILE, "verdict": "undecided", "reason": HOSTILE, "sentence": HOSTILE}
    comparison = {"compared": HOSTILE, "left": 0.5, "right": None, "difference": -0.25, "p_corrected": 0.0002}
    claims = [{"comparisons": []}, {"comparisons": [comparison | {"ci_low": -1.0, "ci_high": 0.5}] * 9}]
    folder.write_json("claims.json", {"finding": finding, "findings": [finding], "claims": claims})
    run = Run(folder, make_study(STUDY))
    reader = _safe(run._repr_html_())
    assert "0.500 against –: −0.250 [−1.000, 0.500]" in reader.text and "9 comparisons" in reader.text
    assert "demograd report" in reader.text and "href" not in dict(reader.attributes)
    (folder.path / "report.html").touch()
    assert dict(_safe(run._repr_html_()).attributes)["href"].endswith("/run/report.html")  # type: ignore[union-attr]


def test_what_turns_or_hides_text_is_spelled_out_and_the_rest_is_left_alone() -> None:
    assert visible("a\u202eb\u200f\x07\ud800") == "a⟦U+202E⟧b⟦U+200F⟧⟦U+0007⟧⟦U+D800⟧"
    assert visible("\t\u200d\u2028\u2029\ue000") == "⟦U+0009⟧⟦U+200D⟧⟦U+2028⟧⟦U+2029⟧⟦U+E000⟧"
    same = "two\nlines, مرحبا, 🔬, naïve ∞"
    assert visible(same) == shown(same) == same


def test_a_run_that_has_not_ended_says_so(tmp_path: Path) -> None:
    run = Run(RunFolder(tmp_path), make_study(STUDY))
    assert "This folder holds no verdicts" in _safe(run._repr_html_()).text


def test_a_task_shows_what_a_model_reads_and_a_line_counts_its_examples(task: Task) -> None:
    assert repr(task) == (
        f"Task({task.name!r}, 2 classes (<b>no</b>, yes), {len(task.pools.training)} demonstrations, "
        f"{len(task.pools.tuning)} tuning queries, {len(task.pools.queries)} queries, gold labels)"
    )
    first = task.demonstrations(1)[0]
    letters = task.with_labels("abstract")
    for version in (task, letters):
        text = _safe(version._repr_html_()).text
        assert shown(version.text(first) + version.answer(first.label)) in text
    assert letters.notes[-1] in _safe(letters._repr_html_()).text


def test_prompts_frame_each_demonstration_and_show_the_first_queries() -> None:
    prompts = _prompts(demonstration_spans=[(1, 3), (4, 6)], tokenizer=Letters())
    reader = _safe(prompts._repr_html_())
    assert "^1ab ↵2cd ↵" in reader.text
    assert "Query 1 of 5, right answer: <" in reader.text and "Query 4" not in reader.text
    assert reader.elements.count("code") == len(prompts.context) + 3 * len(HOSTILE)
    assert prompts == _prompts(demonstration_spans=[(1, 3), (4, 6)]), "the tokenizer is no part of what they are"


def test_an_observation_and_a_model_show_their_sizes_and_what_was_right(
    random_model: Callable[..., Any], random_prompts: Callable[..., Any]
) -> None:
    model, prompts = random_model("llama"), random_prompts()
    observed = observe(model, prompts)
    text = _safe(observed._repr_html_()).text
    n_right = int((observed.predictions == observed.gold).sum())
    assert f"Right on {n_right} of {len(observed.gold)} queries" in text
    assert "6 × 3 × 64" in text
    without_tokenizer = _safe(prompts._repr_html_())
    assert str(prompts.context[-1]) in without_tokenizer.text
    described = _safe(model._repr_html_()).text
    assert "LlamaForCausalLM" in described and "float32 on cpu" in described and "128 tokens" in described
    assert "Model.fingerprint computes it" in described
    assert model.fingerprint in _safe(model._repr_html_()).text


def test_long_texts_are_shortened_and_tokens_that_are_left_out_are_counted() -> None:
    assert len(shown("x" * 10 * LONGEST_TEXT)) == LONGEST_TEXT
    page = html("heading", Tokens(["a", "\n", "b"], spans=[(1, 2)], rest=1234), Grid([("x", 0.12345)], ("k", "v")))
    text = _safe(page).text
    assert "a1↵ b … and 1,234 more tokens" in text and "0.123" in text


def test_a_bar_says_in_words_how_far_it_is() -> None:
    reader = _safe(bars([HOSTILE], [(HOSTILE, 3, 4)]))
    assert {("value", "3"), ("max", "4")} <= set(reader.attributes) and reader.text.count("alert(1)") == 2


def test_a_link_leads_to_no_script() -> None:
    page = html("heading", link="javascript:alert(1)")
    assert dict(_Reader(page).attributes)["href"] == "javascript%3Aalert%281%29"


def test_a_synthetic_run_shows_its_statements_with_their_numbers(tmp_path: Path) -> None:
    numbers = [{"title": "loss", "text": "0.120 [0.110, 0.130]"}, {"title": "cosine", "text": "0.990"}]
    statement = {"compared": "one layer, in linear", "numbers": numbers, "p_corrected": None}
    folder = RunFolder(tmp_path)
    folder.write_json("claims.json", {"claims": [{"comparisons": [statement]}]})
    text = _safe(Run(folder, make_study(STUDY))._repr_html_()).text
    assert "loss 0.120 [0.110, 0.130]; cosine 0.990" in text
