"""The same rows are the same task, however a spreadsheet or a tool wrote them."""

import bz2
import gzip
import json
import lzma

import pyarrow
import pyarrow.feather
import pyarrow.parquet
import pytest

from demograd.errors import UserError
from demograd.tasks import load_task

TEMPLATE, WORDS = "Review: {text} Sentiment:", ["Negative", "Positive"]
TEXTS = [f'film "{i}", rather; long | 0{i}' for i in range(28)] + ["NA", "007"]
ROWS = [{"text": text, "label": i % 2} for i, text in enumerate(TEXTS)]


def separated(separator, label=str, quote=True, encoding="utf-8", newline="\n"):
    quoted = ['"' + row["text"].replace('"', '""') + '"' if quote else row["text"] for row in ROWS]
    lines = [
        f"text{separator}label",
        *(f"{t}{separator}{label(r['label'])}" for t, r in zip(quoted, ROWS, strict=True)),
    ]
    return (newline.join(lines) + newline).encode(encoding)


def arrow(write):
    def content():
        sink = pyarrow.BufferOutputStream()
        write(pyarrow.table({"text": TEXTS, "label": [row["label"] for row in ROWS]}), sink)
        return sink.getvalue().to_pybytes()

    return content


def stream(table, sink):
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


LINES = "\n".join(map(json.dumps, ROWS)).encode()
FILES = {
    "comma.csv": separated(","),
    "semicolon.csv": separated(";", newline="\r\n"),
    "bar.csv": separated("|"),
    "told.csv": b"sep=;\n" + separated(";"),
    "mac.csv": separated(",", newline="\r"),
    "quoted.tsv": separated("\t"),
    "bare.tsv": separated("\t", quote=False),
    "marked.csv": separated(";", encoding="utf-8-sig"),
    "wide.csv": separated("\t", encoding="utf-16"),
    "floats.csv": separated(",", label=lambda y: f"{y}.0"),
    "spaced.csv": separated(",", label=lambda y: f" {y} "),
    "shouted.csv": separated(";", label=lambda y: str(bool(y)).upper()),
    "array.json": json.dumps(ROWS).encode(),
    "under.json": json.dumps({"version": 1, "data": ROWS}).encode(),
    "columns.json": json.dumps({"text": TEXTS, "label": [row["label"] for row in ROWS]}).encode(),
    "lines.json": LINES,
    "lines.ndjson": LINES,
    "booleans.jsonl": "\n".join(json.dumps({**r, "label": bool(r["label"])}) for r in ROWS).encode(),
    "floats.jsonl": "\n".join(json.dumps({**r, "label": float(r["label"])}) for r in ROWS).encode(),
    "lines.jsonl.gz": gzip.compress(LINES),
    "lines.jsonl.xz": lzma.compress(LINES),
    "comma.csv.bz2": bz2.compress(separated(",")),
    "lines.jsonl.zst": pyarrow.compress(LINES, "zstd", asbytes=True),
    "file.parquet": arrow(pyarrow.parquet.write_table)(),
    "file.feather": arrow(pyarrow.feather.write_feather)(),
    "stream.arrow": arrow(stream)(),
}


def load(path, **settings):
    return load_task(path, **{"template": TEMPLATE, "label_words": WORDS} | settings)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    path = tmp_path_factory.mktemp("plain") / "plain.jsonl"
    path.write_bytes(LINES)
    return load(path)


@pytest.mark.parametrize("name", FILES)
def test_rows_are_the_same_task_in_every_dialect(tmp_path, name, plain):
    (tmp_path / name).write_bytes(FILES[name])
    task = load(tmp_path / name)
    assert task.fingerprint == plain.fingerprint and task.name == name.partition(".")[0]


@pytest.mark.parametrize("encoding", ["latin-1", "windows-1252", "utf-16-le"])
def test_an_encoding_that_is_named_is_read_and_one_that_is_not_is_told(tmp_path, encoding):
    path = tmp_path / "mine.csv"
    content = "text;label\n" + "".join(f"größer {i};{i % 2}\n" for i in range(30))
    path.write_bytes(content.encode(encoding))
    assert load(path, encoding=encoding).queries(1)[0].fields["text"].startswith("größer")
    with pytest.raises(UserError, match=r"mine\.csv is not in UTF-8.*[Ss]ay.*encoding: "):
        load(path)
    for wrong in ("klingon", "hex"):
        with pytest.raises(UserError, match=f"encoding '{wrong}'"):
            load(path, encoding=wrong)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"text~label\na~0\nb~1\n", r"has no column.*'text~label' alone"),
        ("a.csv", gzip.compress(LINES), r"compressed with gzip: call it a\.csv\.gz"),
        ("a.csv.gz", b"text,label\n", "cannot be read as CSV"),
        ("a.json", b'{"text": "a"} 7', "cannot be read as JSON"),
        ("a.csv", b'text,label\na,"0\nb,1\n', "cannot be read as CSV"),
        ("a.tsv", b"text\tlabel\na\t0\t1\n", "line 2 has 3 cells.*tabs"),
        ("a.csv.zip", b"PK", r"one of \.csv"),
    ],
)
def test_a_file_in_no_dialect_says_what_is_wrong(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        load(tmp_path / name)


def write_shards(folder, names):
    folder.mkdir()
    (folder / "README.md").write_text("# Data")
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        rows = [{"text": f"{name} {i}", "label": i % 2} for i in range(20 + number)]
        path.write_text("\n".join(map(json.dumps, rows)))


def test_a_folder_of_parts_is_one_data_set(tmp_path):
    write_shards(tmp_path / "set", ["part-0.jsonl", "part-1.jsonl"])
    task = load(tmp_path / "set")
    assert sum(map(len, (task.pools.training, task.pools.tuning, task.pools.queries))) == 41 and task.name == "set"
    (tmp_path / "set" / "more.csv").write_text("text,label\n")
    with pytest.raises(UserError, match=r"several kinds \(\.csv, \.jsonl\)"):
        load(tmp_path / "set")


def test_splits_of_a_folder_are_chosen_and_what_is_not_used_is_noted(tmp_path):
    write_shards(tmp_path / "set", ["train-0.jsonl", "train-1.jsonl", "dev.jsonl", "test/0.jsonl"])
    task = load(tmp_path / "set")
    assert len(task.pools.queries) == 22 and all("dev" in e.fields["text"] for e in task.pools.queries)
    assert any("split test is not used" in note for note in task.notes)
    other = load(tmp_path / "set", split="validation", validation_split="test")
    assert all("test" in e.fields["text"] for e in other.pools.queries)
    with pytest.raises(UserError, match=r"no split 'dev'.*one of"):
        load(tmp_path / "set", split="dev")
    with pytest.raises(UserError, match="are both"):
        load(tmp_path / "set", split="test", validation_split="test")
    with pytest.raises(UserError, match="Leave split"):
        load(tmp_path / "set" / "dev.jsonl", split="train")


@pytest.mark.parametrize("splits", [False, True])
def test_what_datasets_saved_to_disk_is_read_with_its_class_names(tmp_path, splits):
    import datasets

    names = datasets.ClassLabel(names=["bad", "good"])
    parts = {
        name: datasets.Dataset.from_dict(
            {"text": [f"{name} {i}" for i in range(30)], "label": [i % 2 for i in range(30)]}
        ).cast_column("label", names)
        for name in ("train", "validation")
    }
    saved = datasets.DatasetDict(parts) if splits else parts["train"].filter(lambda row: row["text"] != "train 3")
    saved.save_to_disk(tmp_path / "saved")
    task = load(tmp_path / "saved", label_words={"good": "Positive", "bad": "Negative"})
    examples = [*task.pools.training, *task.pools.tuning, *task.pools.queries]
    assert all((int(e.fields["text"].split()[1]) % 2 == 1) == (e.label == 0) for e in examples)
    assert len(examples) == (60 if splits else 29)
    assert all(e.fields["text"].startswith("validation" if splits else "train") for e in task.pools.queries)


def test_an_object_of_several_lists_of_rows_is_refused_and_names_them(tmp_path):
    rows = [{"text": f"film number {number}", "label": number % 2} for number in range(60)]
    beside = {"label_names": ["neg", "pos"], "classes": [{"id": 0, "name": "neg"}, {"id": 1, "name": "pos"}]}
    (tmp_path / "mine.json").write_text(json.dumps({"train": rows, "test": rows[:20], **beside}), encoding="utf-8")
    with pytest.raises(UserError, match=r"several lists of rows \('train', 'test'\).*validation_path"):
        load(tmp_path / "mine.json")
    (tmp_path / "mine.json").write_text(json.dumps({"data": rows, **beside}), encoding="utf-8")
    assert len(load(tmp_path / "mine.json", label_words=["bad", "good"]).pools.training) > 0
