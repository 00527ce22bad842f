"""Facts about ICL over training, on a small transformer that the test trains until it learns in context.

Every training episode is lines `noise cue label` under a mapping from cues to labels drawn for that episode alone: what
a cue means is in the context or nowhere. Two layers learn to look it up after some hundred steps, all at once.
"""

import csv
import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import pandas as pd
import pytest
import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from demograd import Study, read_study, run_study
from demograd.report import write_report

pytestmark = pytest.mark.slow  # it trains for minutes

CUES, LABELS, NOISE = 4, 16, 16
LINES, EPISODES = 12, 32
EARLY, LATER, MOST_STEPS, ATTEMPTS = 100, 150, 3000, 6
"""The step of the second checkpoint, steps between the last ones, steps before a restart, and the number of starts."""
MASTERED = 0.97
"""The accuracy on labels that the context determines, over the last 20 batches, at which the network learns in context.

The step at which it does depends on the order of sums: with ten seeds, in float32 and float64, it lay between 743 and
2,687, in one of twenty at 3,329, and in one beyond 5,000. So training is watched for it and goes on from there, or
begins anew. The accuracy 150 and 300 steps later was 0.966 to 1.0.
"""
CHECKPOINTS = ("at the start", "early", "mastered", "later", "last")
WORDS = [
    *("<unk>", "<s>", "</s>", "\n"),
    *(f"cue{i}" for i in range(CUES)),
    *(f"label{i}" for i in range(LABELS)),
    *(f"noise{i}" for i in range(NOISE)),
]
ID = {word: number for number, word in enumerate(WORDS)}


def word_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer with one token per word and one for the end of a line."""
    tokenizer = Tokenizer(models.WordLevel(ID, unk_token="<unk>"))
    line_ends = pre_tokenizers.Split("\n", "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([line_ends, pre_tokenizers.Split(Regex(" +"), "removed")])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )


def episodes(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Token ids [episodes, 1 + 4 × lines] as prompts have them, and the same with all tokens but the labels masked."""

    def draw(count: int, *shape: int) -> Tensor:
        return torch.randint(count, shape, generator=generator)

    meaning, cue = draw(LABELS, EPISODES, CUES), draw(CUES, EPISODES, LINES)
    noise, label = draw(NOISE, EPISODES, LINES) + ID["noise0"], meaning.gather(1, cue) + ID["label0"]
    lines = torch.stack([noise, cue + ID["cue0"], label, torch.full_like(cue, ID["\n"])], dim=-1)
    tokens = torch.cat([torch.full((EPISODES, 1), ID["<s>"]), lines.flatten(1)], dim=1)
    is_label = (tokens >= ID["label0"]) & (tokens < ID["noise0"])
    return tokens, torch.where(is_label, tokens, -100)


def accuracy_on_repeated_cues(logits: Tensor, tokens: Tensor) -> float:
    """The share of labels predicted right, among those whose cue an earlier line of the episode has."""
    cue, label, predicted = tokens[:, 2::4], tokens[:, 3::4], logits[:, 2::4].argmax(dim=-1)
    repeated = (cue[:, :, None] == cue[:, None, :]).tril(-1).any(dim=-1)
    return (predicted == label)[repeated].float().mean().item()


def trained(folder: Path) -> list[Path]:
    """The checkpoints of the first seed that learns in context within the given steps."""
    for seed in range(ATTEMPTS):
        checkpoints = [*trained_from(seed, folder / f"seed-{seed}")]
        if len(checkpoints) == len(CHECKPOINTS):
            return checkpoints
    raise AssertionError(f"the ability came with none of {ATTEMPTS} seeds")


def trained_from(seed: int, folder: Path) -> Iterator[Path]:
    """The checkpoints of one seed, each saved at its step; the last only where the model learned in context."""
    torch.manual_seed(seed)
    network = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(WORDS),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=128,
            initializer_range=0.1,
            bos_token_id=ID["<s>"],
            eos_token_id=ID["</s>"],
            pad_token_id=ID["</s>"],
        )
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, betas=(0.9, 0.95), fused=True)
    generator = torch.Generator().manual_seed(seed)
    right: deque[float] = deque(maxlen=20)
    due = {0: "at the start", EARLY: "early"}
    for step in range(MOST_STEPS):
        if "mastered" not in due.values() and step > EARLY and mean(right) > MASTERED:
            due |= {step: "mastered", step + LATER: "later", step + 2 * LATER: "last"}
        if step in due:
            path = folder / due[step].replace(" ", "-")
            network.save_pretrained(path)
            word_tokenizer().save_pretrained(path)
            yield path
            if due[step] == "last":
                return
        tokens, labels = episodes(generator)
        output = network(input_ids=tokens, labels=labels)
        right.append(accuracy_on_repeated_cues(output.logits, tokens))
        output.loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()


def write_task(file: Path) -> None:
    """Write a task with one fixed meaning of the cues; all texts differ, so queries share only cues."""
    with file.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["text", "label"])
        rows.writerows((f"noise{noise} cue{cue}", f"label{cue}") for noise in range(NOISE) for cue in range(CUES))


@dataclass(frozen=True)
class Trained:
    """The run over all checkpoints, in their order."""

    study: Study
    table: pd.DataFrame
    page: str
    claims: list[dict[str, Any]]

    def over_checkpoints(self, metric: str, setting: str | None = None) -> list[float]:
        rows = self.table[(self.table.metric == metric) & self.table.layer.isna() & self.table.seed.isna()]
        rows = rows if setting is None else rows[rows.setting == setting]
        return rows.set_index("model").value.loc[self.study.checkpoints].tolist()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("training")
    write_task(folder / "cues.csv")
    study = read_study(
        "shen2023-training-time",
        model="",
        checkpoints=list(map(str, trained(folder))),
        tasks=[str(folder / "cues.csv")],
        template="{text}",
        label_words={f"label{i}": f"label{i}" for i in range(CUES)},
        k=CUES,  # each once
        seeds=[0, 1, 2, 3, 4],
        balanced=True,
        queries=20,
        device="cpu",
    )
    out = run_study(study, folder / "run").folder.path
    page = write_report(out).read_text(encoding="utf-8")
    claims = json.loads((out / "claims.json").read_text(encoding="utf-8"))["claims"]
    return Trained(study, pd.read_parquet(out / "results.parquet"), page, claims)


def test_the_ability_to_learn_in_context_appears_during_training(run: Trained) -> None:
    accuracy, likelihood = run.over_checkpoints("accuracy", "ICL"), run.over_checkpoints("label_log_likelihood", "ICL")
    assert accuracy[0] < 0.5 and accuracy[-1] > 0.75
    assert likelihood[0] < likelihood[-1] - 1 and likelihood[1] < likelihood[-1] - 1
    # which is no knowledge of the task: without demonstrations the last is as lost as the first
    assert max(run.over_checkpoints("accuracy", "ZSL")) < 0.6


def test_the_parameters_move_on_whether_or_not_the_ability_is_there(run: Trained) -> None:
    distance, accuracy = run.over_checkpoints("parameter_distance"), run.over_checkpoints("accuracy", "ICL")
    assert distance == sorted(distance, reverse=True) and distance[-1] == 0
    assert accuracy[-3] > 0.75 and distance[-3] > 0.1


def test_that_the_ability_stays_as_it_is_is_contradicted_here(run: Trained) -> None:
    """Shen 2023 finds in-context learning in Pythia's first checkpoints; these checkpoints begin before it."""
    [comparison] = next(claim["comparisons"] for claim in run.claims if claim["name"] == "icl-early")
    assert (comparison["verdict"], comparison["n_seeds"]) == ("contradicted", 5) and comparison["difference"] > 0.4


def test_the_page_shows_in_context_learning_beside_the_parameters(run: Trained) -> None:
    section = run.page.partition('id="training-time"')[2].partition("</section>")[0]
    for words in ("parameter distance", "accuracy", *(name.replace(" ", "-") for name in CHECKPOINTS)):
        assert words in section.lower()
