"""A labelled dataset, a template that turns an example into text, and one label word per class."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import compress

from demograd.display import Grid, html
from demograd.errors import UserError, shortened, shortened_list, unknown_name
from demograd.tasks.abstract_labels import abstract_note, abstract_words
from demograd.tasks.draws import (
    Stream,
    draw,
    draw_demonstration_sets,
    draw_demonstrations,
    draw_labels,
    generator,
    reorder,
)
from demograd.tasks.encoding import encode_with_answers, fitting_texts
from demograd.tasks.pools import Pools
from demograd.tasks.prompts import (
    LabelledTexts,
    Prompts,
    TrainingSequence,
    assemble_prompts,
    assemble_training_sequences,
    count_fitting,
)
from demograd.tasks.sources.built_in import built_in_tasks
from demograd.tasks.template import Example, fill
from demograd.tasks.tokenizer import Tokenizer, separator_ids
from demograd.words import Labels

EXAMPLES_SHOWN = 3
"""Demonstrations of a task that a notebook shows."""


@dataclass(frozen=True)
class Task:
    """What `load_task` gives. Draws are functions of their arguments alone; no text is in two pools."""

    name: str
    template: str
    """Text with `{column}` fields, without the answer."""
    label_words: tuple[str, ...]
    """One word per class, in class order."""
    source: str
    """Where the data came from, for the record."""
    pools: Pools = field(repr=False)
    """Examples that may be demonstrations, that choose learning rates, and that are queries."""
    notes: tuple[str, ...] = ()
    """What a reader of results on this task must know, one sentence each."""
    answer_prefix: str = " "
    """What stands between text and answer."""
    abstract_template: str | None = None
    """Where `template` names the classes, the template of abstract labels; None: that is `template` too."""
    labels: Labels = Labels.GOLD
    """Which labels demonstrations have; see `with_labels`."""
    label_seed: int = 0
    """Seed of the letters of abstract labels, and of the draws of random ones."""

    def __repr__(self) -> str:
        """One line: its classes and how many examples there are; `template`, `notes` and the draws say the rest."""
        words = shortened_list(self.label_words, 100)
        return f"Task({self.name!r}, {len(self.label_words)} classes ({words}), {self._sizes()}, {self.labels.words})"

    def _repr_html_(self) -> str:
        """The template, the label words, and a few demonstrations as a model reads them."""
        demonstrations = self.demonstrations(min(EXAMPLES_SHOWN, len(self.pools.training)))
        settings = Grid(
            [
                ("template", self.template + self.answer_prefix + "…"),
                ("label words", shortened_list(self.label_words)),
                ("labels", self.labels),
                ("examples", self._sizes()),
                ("source", self.source),
            ]
        )
        examples = Grid(
            [
                (self.label_words[example.label], self.text(example) + self.answer(example.label))
                for example in demonstrations
            ],
            ("label", "text and answer"),
            "The first demonstrations of seed 0",
        )
        return html(f"Task {self.name}", settings, examples, sentences=self.notes)

    def _sizes(self) -> str:
        sizes = {"demonstrations": self.pools.training, "tuning queries": self.pools.tuning}
        sizes |= {"queries": self.pools.queries}
        return ", ".join(f"{len(pool):,} {name}" for name, pool in sizes.items())

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over all examples and their pools, over what stands before the answer where it is no space, and over
        labels and their seed where they are not gold: equal exactly when every draw and these are."""
        of_pools = self.pools.fingerprint()
        settings = [] if self.answer_prefix == " " else [self.answer_prefix]
        if self.labels != Labels.GOLD:
            settings += [self.labels, str(self.label_seed)]
        return hashlib.sha256(json.dumps([of_pools, *settings]).encode()).hexdigest() if settings else of_pools

    def with_labels(self, labels: Labels | str, seed: int = 0) -> "Task":
        """The task with other labels on its demonstrations, in ICL and FT alike; queries keep what is right.

        They part two things that ICL may do: recognise the task, and learn it from the demonstrations (Pan 2023, "What
        in-context learning 'learns' in-context").

        * "gold": the labels of the data under the task's label words; the task itself.
        * "abstract": the labels of the data under the letters A, B, C …, dealt to the classes in an order that `seed`
          draws. Zero-shot cannot know what they mean, so what ICL gains is learned from the demonstrations. Where the
          template of a built-in task names the classes, it gets one that does not; any other template is kept, which
          `notes` say.
        * "random": the task's label words, but each demonstration's label is drawn anew, uniformly over the classes
          (Min 2022, "Rethinking the role of demonstrations"), by `seed` and the seed of the demonstration set. Balanced
          sets are balanced in what the labels were before. What ICL gains is not learned from the labels.

        **Raises:** UserError for another name, for abstract labels of more than 26 classes, and where labels are not
        gold any more.
        """
        if labels not in set(Labels):
            raise unknown_name("labels", str(labels), list(Labels), "Choose one of these")
        labels = Labels(labels)
        if labels == Labels.GOLD == self.labels:
            return self
        if self.labels != Labels.GOLD:
            raise UserError(f"{self.name} with {self.labels.words}", "a task with gold labels", "Begin from load_task")
        if labels == Labels.RANDOM:
            note = (
                f"Labels of the demonstrations of {self.name} are random: drawn anew for each, uniformly over "
                f"{len(self.label_words)} classes."
            )
            return replace(self, labels=labels, label_seed=seed, notes=(*self.notes, note))
        letters = abstract_words(self.name, len(self.label_words), generator(Stream.LETTERS, seed))
        template = self.abstract_template or self.template
        note = abstract_note(self.name, self.label_words, letters, template, is_own=self.abstract_template is None)
        return replace(
            self, labels=labels, label_seed=seed, label_words=letters, template=template, notes=(*self.notes, note)
        )

    def text(self, example: Example) -> str:
        """text(x): the filled template."""
        return self._texts([example])[0]

    def answer(self, label: int) -> str:
        """answer(y): what stands before it (by default a space), and the label word."""
        return self.answer_prefix + self.label_words[label]

    def demonstrations(self, k: int = 16, seed: int = 0, balanced: bool = False, permutation: int = 0) -> list[Example]:
        """`k` ordered demonstrations, drawn uniformly without replacement (`balanced`: the same number per class).

        `permutation` above 0 gives the same demonstrations in another order, a different one for every number.
        Raises UserError when k is under 1 or more than there are, or there are not so many orders.
        """
        demonstrations = draw_demonstrations(self.pools.training, k, seed, len(self.label_words), balanced=balanced)
        return reorder(self._relabelled(demonstrations, seed), seed, permutation)

    def demonstration_sets(self, k: int, seeds: Sequence[int], balanced: bool = True) -> list[list[Example]]:
        """One set of `k` ordered demonstrations per seed, no two sets with a text in common: for matching.

        The set of a seed is what `demonstrations(k, seed, balanced)` draws, but that examples whose text is in an
        earlier set are passed over; so the first set equals that draw. `balanced`: all sets have equally many of each
        class, also where `k` is no multiple of the number of classes.

        **Raises:** UserError when a seed comes twice, or the data is too small for so many sets: it says how many fit.
        """
        sets = draw_demonstration_sets(self.pools.training, k, seeds, len(self.label_words), balanced=balanced)
        return [self._relabelled(demonstrations, seed) for demonstrations, seed in zip(sets, seeds, strict=True)]

    def _relabelled(self, demonstrations: list[Example], seed: int) -> list[Example]:
        """With random labels, the demonstrations of this seed with those that are drawn for them."""
        if self.labels != Labels.RANDOM:
            return demonstrations
        return draw_labels(demonstrations, len(self.label_words), self.label_seed, seed)

    def queries(self, n: int = 100, seed: int = 1) -> list[Example]:
        """`n` test examples; they do not depend on the seed of demonstrations. Raises UserError when n is too many."""
        return draw(self.pools.queries, n, seed, Stream.QUERIES)

    def tuning_queries(self, n: int = 100, seed: int = 1) -> list[Example]:
        """`n` examples on which to choose a learning rate: neither demonstrations nor queries that are reported.

        Raises UserError when n is too many.
        """
        return draw(self.pools.tuning, n, seed, Stream.TUNING)

    def prompts(
        self,
        tokenizer: Tokenizer,
        queries: Sequence[Example],
        demonstrations: Sequence[Example] = (),
        *,
        separator: str = "newline",
        record_at: str = "prompt_end",
        align_positions_to: int | None = None,
        context_window: int | None = None,
    ) -> Prompts:
        """Token ids of `queries` behind `demonstrations` (none: zero-shot).

        `separator` "newline" or "eos" ends each demonstration. `record_at` "first_answer" appends the first token of
        class 0's answer to every query. `align_positions_to` is the position of each query's first token: the length of
        the in-context prompt's context, to give zero-shot queries the positions that they have there. With
        `context_window` (tokens) a prompt that is too long is refused; `fitting_demonstrations` says what fits.

        Raises UserError also for a tokenizer whose answers are not clean suffixes, and for unknown option values.
        """
        return assemble_prompts(
            tokenizer,
            self._labelled(queries),
            self._labelled(demonstrations),
            self._answers(),
            separator=separator,
            record_at=record_at,
            query_position=align_positions_to,
            context_window=context_window,
        )

    def training_sequences(
        self,
        tokenizer: Tokenizer,
        demonstrations: Sequence[Example],
        *,
        loss_on: str = "all",
        separator: str = "newline",
    ) -> list[TrainingSequence]:
        """[BOS] text answer of each demonstration, in order; the loss counts "all" tokens after BOS, or the "label"'s.

        `separator` is the one of `prompts`, for methods that prompt with the demonstrations.

        Raises UserError for a tokenizer whose answers are not clean suffixes, and for another `loss_on`.
        """
        return assemble_training_sequences(
            tokenizer, self._labelled(demonstrations), self._answers(), loss_on=loss_on, separator=separator
        )

    def fitting_demonstrations(
        self,
        tokenizer: Tokenizer,
        queries: Sequence[Example],
        demonstrations: Sequence[Example],
        context_window: int,
        *,
        separator: str = "newline",
    ) -> list[Example]:
        """Those from the first on that fit `context_window` tokens with the longest query and the longest answer.

        Use them in ICL and in FT, and say how many they are. Raises UserError when not one fits, or a query alone does
        not.
        """
        fitting = count_fitting(
            tokenizer,
            self._labelled(queries),
            self._labelled(demonstrations),
            self._answers(),
            context_window,
            separator,
        )
        return list(demonstrations[:fitting])

    def within_window(self, tokenizer: Tokenizer, context_window: int, *, separator: str = "newline") -> "Task":
        """The task without examples that take more than half of `context_window` (tokens), in any of its pools.

        Any two of the others fit it together: a query, and a demonstration with its answer and separator. A note counts
        what is left out; where nothing is, this is the task itself. Raises UserError when no example of a pool is left.
        """
        limit = (context_window - 1) // 2 - len(separator_ids(tokenizer, separator))  # 1: BOS
        pools = {name: getattr(self.pools, name) for name in ("training", "tuning", "queries")}
        texts = {name: self._texts(pool) for name, pool in pools.items()}
        fits = {name: fitting_texts(tokenizer, texts[name], self._answers(), limit) for name in pools}
        fewer = {name: tuple(compress(pool, fits[name])) for name, pool in pools.items()}
        out = {name: len(pool) - len(fewer[name]) for name, pool in pools.items()}
        if not any(out.values()):
            return self
        counts = f"{out['training']:,} demonstrations, {out['tuning']:,} tuning queries, {out['queries']:,} queries"
        why = f"take more than half of the context window of {context_window:,} tokens with template and answer"
        if empty := [name for name, pool in pools.items() if pool and not fewer[name]]:
            raise UserError(
                f"All texts of {self.name} ({empty[0]}) {why}",
                "shorter texts",
                "Use a model with a longer context window",
            )
        note = f"Of {self.name}, {counts} are left out: their texts {why}."
        return replace(self, pools=Pools(**fewer), notes=(*self.notes, note))

    def label_word_notes(self, tokenizer: Tokenizer) -> list[str]:
        """What a reader must know of the label words as this tokenizer writes them: that they differ in length."""
        texts = [self.text(example) for example in (*self.pools.queries, *self.pools.training)[:1]]
        sizes = [len(ids) for ids in encode_with_answers(tokenizer, texts, self._answers()).answers] if texts else []
        if len(set(sizes)) < 2:
            return []
        words = ", ".join(f"{shortened(word)} {size}" for word, size in zip(self.label_words, sizes, strict=True))
        return [
            f"Label words of {self.name} differ in their number of tokens ({words}): each is scored by the mean "
            "log-probability of its tokens."
        ]

    def _labelled(self, examples: Sequence[Example]) -> LabelledTexts:
        return LabelledTexts(self._texts(examples), [example.label for example in examples])

    def _texts(self, examples: Sequence[Example]) -> list[str]:
        return fill(self.template, (example.fields for example in examples))

    def _answers(self) -> list[str]:
        return [self.answer(label) for label in range(len(self.label_words))]


DEFAULTS = ("agnews", "subj")
"""Two built-in tasks that share no label word with each other or another built-in task, and come in the package."""


def other_task(name: str, among: Mapping[str, Task]) -> str:
    """The task whose demonstrations stand in for those of the task `name` of a study's tasks, `among`.

    It is the next one in the study's order, the first following the last, that shares no label word with `name`:
    demonstrations of a task with the same words would teach the words, which is part of what is measured. A study
    without such a task takes "agnews", or "subj" where agnews would share a word: a built-in name, to be loaded.
    """
    words = set(among[name].label_words)
    names = list(among)
    place = names.index(name)
    for other in names[place + 1 :] + names[:place]:
        if not words & set(among[other].label_words):
            return other
    return next(default for default in DEFAULTS if not words & set(built_in_tasks()[default].label_words))
