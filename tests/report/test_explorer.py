"""The query explorer's data: texts stay texts, numbers are those of the tables, and the page stays small."""

import json
import re
import zlib
from base64 import b64decode
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from jinja2.utils import htmlsafe_json_dumps
from tests.report.queries import HOSTILE, WORDS, write_queries

from demograd.display import visible
from demograd.report import explorer as module
from demograd.report import read_run
from demograd.report.explorer import explorer_of
from demograd.report.sections.queries import queries_section

MakeRun = Callable[..., Path]


@pytest.fixture
def tables(explored: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Queries and attention, to be changed."""
    run = read_run(explored)
    assert run.queries is not None and run.attention is not None
    return run.queries, run.attention


def test_texts_that_look_like_markup_are_texts_on_the_page(explored: Path) -> None:
    page = (explored / "report.html").read_text(encoding="utf-8")
    assert "document.title = 'broken'</script>" not in page and "<img src=x" not in page
    assert "<b>good</b>" not in page
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u2028\u2029\x00]", page)
    assert "⟦U+202E⟧evil⟦U+2066⟧ reversed ⟦U+2028⟧ lines ⟦U+0000⟧ and &amp; entities &amp;lt;b&amp;gt;" in page
    data = re.findall(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    assert len(data) == 1 and not re.search("[<>&\u2028\u2029]", data[0])
    assert json.loads(data[0])["tasks"][0]["texts"] == [visible(text) for text in HOSTILE]


def test_no_script_but_the_package_s_own_may_run(explored: Path) -> None:
    page = (explored / "report.html").read_text(encoding="utf-8")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert "default-src &#39;none&#39;" in policy[1] and "unsafe" not in policy[1]
    elements = Elements()
    elements.feed(page)
    scripts = [attributes for tag, attributes in elements.started if tag == "script"]
    assert scripts == [{"type": "application/json"}, {}]
    assert not [name for _, attributes in elements.started for name in attributes if name.startswith("on")]
    assert "img" not in {tag for tag, _ in elements.started}


class Elements(HTMLParser):
    """Every element that begins, with its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.started.append((tag, dict(attrs)))


def test_the_numbers_are_those_of_the_tables(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    queries, attention = tables
    explorer = explorer_of(queries, attention)
    assert explorer is not None and (explorer.n_queries, explorer.n_shown, explorer.n_attention) == (4, 4, 2)
    (world,) = explorer.content["worlds"]
    first, second = world["sets"]
    assert (first["seed"], second["seed"]) == (5, 6)
    assert first["ft"][0]["similarity"] == [0.5, None, 0.0, -0.25]
    assert first["icl"]["log_probs"][2] == [-1.5, -2.25]
    assert second["ft"][1] == {"status": "diverged at step 3"}
    stored = attention[(attention["setting"] == "FT") & (attention["query"] == 1)]
    for prompt, codes in zip(world["attention"]["queries"][1][2:], stored["codes"], strict=True):
        assert zlib.decompress(b64decode(prompt["codes"])) == codes
    titles = [setting["title"] for setting in world["attention"]["settings"]]
    assert titles == ["ZSL", "ICL", "FT, GD 0.001", "FT, LCGD 0.003"]


def test_numbers_that_are_not_finite_are_null_for_a_browser_reads_no_others(
    tables: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    queries = tables[0].astype({"label_log_probs": object})
    icl = queries.index[queries["setting"] == "ICL"]
    queries.at[icl[0], "label_log_probs"] = np.array([np.nan, -np.inf])
    queries.loc[queries["setting"] == "FT", "sim_aou"] = [np.inf, *[0.5] * 15]
    explorer = explorer_of(queries, None)
    assert explorer is not None and json.dumps(explorer.content, allow_nan=False)
    first = explorer.content["worlds"][0]["sets"][0]
    assert first["icl"]["log_probs"][:2] == [[None, None], [-1.5, -1.25]]
    assert first["ft"][0]["similarity"][:2] == [None, 0.5] and explorer.rows[0][-1] == "–"


def test_without_a_script_the_table_says_what_is_wrong_in_words(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    explorer = explorer_of(tables[0], None)
    assert explorer is not None and explorer.n_attention == 0
    good = WORDS[1]
    assert explorer.rows[0] == ("a plain text", "bad", "bad", f"✗ {good}", f"✗ {good}", "0.500")
    assert explorer.rows[1][-1] == "–"


def test_a_page_of_many_queries_stays_small_and_says_so(run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = tuple(f"<'text' & number {number}>" for number in range(100))  # whose signs are six bytes each
    table = read_run(write_queries(run(seeds=2, layers=2), texts, n_attention=20))
    monkeypatch.setattr(module, "TEXT_BYTES", 20_000)
    monkeypatch.setattr(module, "ATTENTION_BYTES", 6_000)
    assert table.queries is not None
    shown = []
    for n_runs in (1, 2):
        explorer = explorer_of(table.queries, table.attention, n_runs)
        assert explorer is not None
        assert 20_000 < n_runs * len(htmlsafe_json_dumps(explorer.content)) < 26_000 + 100 * n_runs
        shown.append((explorer.n_shown, explorer.n_attention))
    assert 100 > shown[0][0] > shown[1][0] > 20 > shown[0][1] > shown[1][1] > 0
    section = queries_section(table)
    assert section is not None
    assert f"the first {shown[0][0]} of 100 queries" in section.notes[0]
    assert f"for the first {shown[0][1]} queries" in section.notes[1]


def test_worlds_share_the_tokens_before_the_query_and_one_that_does_not_fit_keeps_no_other_out(
    tables: tuple[pd.DataFrame, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    queries, attention = tables
    large = attention.assign(weights="no_training", codes=np.random.default_rng(0).bytes(5_000))
    both = pd.concat([queries.assign(weights="no_training"), queries]), pd.concat([large, attention])
    contexts = [["<bos>"], ["<bos>", "shown", " to", " it", "\n"]]
    for size, n_queries, shared in ((10**6, [2, 2], contexts), (10_000, [0, 2], contexts), (100, [0, 0], [])):
        monkeypatch.setattr(module, "ATTENTION_BYTES", size)
        explorer = explorer_of(*both)
        assert explorer is not None and explorer.n_attention == max(n_queries)
        worlds = [world["attention"] or {"queries": []} for world in explorer.content["worlds"]]
        assert [len(world["queries"]) for world in worlds] == n_queries
        assert explorer.content["contexts"] == shared
        assert all([row["context"] for row in world["settings"]] == [0, 1, 0, 0] for world in worlds if len(world) > 1)


def test_a_run_without_queries_has_no_explorer(run: MakeRun) -> None:
    assert queries_section(read_run(run(seeds=2, layers=2))) is None
    assert explorer_of(pd.DataFrame({"query": []}), None) is None
