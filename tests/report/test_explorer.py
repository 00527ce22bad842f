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
from tests.report.queries import HOSTILE, WORDS, write_queries

from demograd.display import visible
from demograd.report import explorer as module
from demograd.report import read_run, write_report
from demograd.report.explorer import explorer_of

MakeRun = Callable[..., Path]


@pytest.fixture
def folder(run: MakeRun) -> Path:
    return write_queries(run(seeds=2, layers=2, methods=("GD",)))


def test_texts_that_look_like_markup_are_texts_on_the_page(folder: Path) -> None:
    page = write_report(folder).read_text(encoding="utf-8")
    assert "document.title = 'broken'</script>" not in page and "<img src=x" not in page
    assert "<b>good</b>" not in page
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u2028\u2029\x00]", page)
    assert "⟦U+202E⟧evil⟦U+2066⟧ reversed ⟦U+2028⟧ lines ⟦U+0000⟧ and &amp; entities &amp;lt;b&amp;gt;" in page
    data = re.findall(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    assert len(data) == 1 and not re.search("[<>&\u2028\u2029]", data[0])
    assert json.loads(data[0])["tasks"][0]["texts"] == [visible(text) for text in HOSTILE]


def test_no_script_but_the_package_s_own_may_run(folder: Path) -> None:
    page = write_report(folder).read_text(encoding="utf-8")
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


def test_the_numbers_are_those_of_the_tables(folder: Path) -> None:
    run = read_run(folder)
    assert run.queries is not None and run.attention is not None
    explorer = explorer_of(run.queries, run.attention)
    assert explorer is not None and (explorer.n_queries, explorer.n_shown, explorer.n_attention) == (4, 4, 2)
    (world,) = explorer.content["worlds"]
    first, second = world["sets"]
    assert (first["seed"], second["seed"]) == (5, 6)
    assert first["ft"][0]["similarity"] == [0.5, None, 0.0, -0.25]
    assert first["icl"]["log_probs"][2] == [-1.5, -2.25]
    assert second["ft"][1] == {"status": "diverged at step 3"}
    stored = run.attention[(run.attention["setting"] == "FT") & (run.attention["query"] == 1)]
    for prompt, codes in zip(world["attention"]["queries"][1][2:], stored["codes"], strict=True):
        assert zlib.decompress(b64decode(prompt["codes"])) == codes
    titles = [setting["title"] for setting in world["attention"]["settings"]]
    assert titles == ["ZSL", "ICL", "FT, GD 0.001", "FT, LCGD 0.003"]


def test_numbers_that_are_not_finite_are_null_for_a_browser_reads_no_others(folder: Path) -> None:
    queries = read_run(folder).queries
    assert queries is not None
    queries = queries.astype({"label_log_probs": object})
    icl = queries.index[queries["setting"] == "ICL"]
    queries.at[icl[0], "label_log_probs"] = np.array([np.nan, -np.inf])
    queries.loc[queries["setting"] == "FT", "sim_aou"] = [np.inf, *[0.5] * 15]
    explorer = explorer_of(queries, None)
    assert explorer is not None and json.dumps(explorer.content, allow_nan=False)
    first = explorer.content["worlds"][0]["sets"][0]
    assert first["icl"]["log_probs"][:2] == [[None, None], [-1.5, -1.25]]
    assert first["ft"][0]["similarity"][:2] == [None, 0.5] and explorer.rows[0][-1] == "–"


def test_without_a_script_the_table_says_what_is_wrong_in_words(folder: Path) -> None:
    run = read_run(folder)
    assert run.queries is not None
    explorer = explorer_of(run.queries, None)
    assert explorer is not None and explorer.n_attention == 0
    good = WORDS[1]
    assert explorer.rows[0] == ("a plain text", "bad", "bad", f"✗ {good}", f"✗ {good}", "0.500")
    assert explorer.rows[1][-1] == "–"


def test_a_page_of_many_queries_stays_small_and_says_so(run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_queries(
        run(seeds=2, layers=2), tuple(f"text number {number}" for number in range(200)), n_attention=20
    )
    monkeypatch.setattr(module, "TEXT_BYTES", 20_000)
    monkeypatch.setattr(module, "ATTENTION_BYTES", 3_000)
    table = read_run(folder)
    assert table.queries is not None
    explorer = explorer_of(table.queries, table.attention)
    assert explorer is not None
    assert 20 < explorer.n_shown < 200 and 0 < explorer.n_attention < 20
    assert len(json.dumps(explorer.content)) < 23_500
    page = write_report(table).read_text(encoding="utf-8")
    assert f"the first {explorer.n_shown} of 200 queries" in page
    assert f"for the first {explorer.n_attention} queries" in page


def test_a_run_without_queries_has_no_explorer(run: MakeRun) -> None:
    page = write_report(run(seeds=2, layers=2)).read_text(encoding="utf-8")
    assert "Query by query" not in page and "<script" not in page
    assert explorer_of(pd.DataFrame({"query": []}), None) is None
