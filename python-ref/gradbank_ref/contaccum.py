"""The loss with a bank of cached embeddings, written out: whole score matrices, and gradients by autograd.

Contrastive accumulation (Kim, Lee and Kang, arXiv 2406.12356, equations 5 to 7) with every option of
sentence-transformers' ranking losses.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from sentence_transformers.base.losses.merged_forward import embed_columns
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from torch import Tensor

from gradbank_ref.errors import InvalidParameters
from gradbank_ref.tokens import Features, token_rows

DIRECTIONS = ("query_to_doc", "query_to_query", "doc_to_query", "doc_to_doc")
HARDNESS = (None, "in_batch_negatives", "hard_negatives", "all_negatives")


@dataclass(frozen=True)
class RankingOptions:
    """Options of the ranking losses by sentence-transformers' names, and two of the bank.

    ``cache_queries``: cached queries are rows of the loss. ``row_weighting``: a row weighs 1 / (rows of the loss) with
    "all", 1 / (rows of the batch) with "current".
    """

    scale: float = 20.0
    similarity_fct: str = "cos_sim"
    directions: tuple[str, ...] = ("query_to_doc",)
    partition_mode: str = "joint"
    hardness_mode: str | None = None
    hardness_strength: float = 0.0
    cache_queries: bool = True
    row_weighting: str = "all"

    def __post_init__(self) -> None:
        allowed: dict[str, Iterable[Any]] = {
            "similarity_fct": ("cos_sim", "dot_score"),
            "partition_mode": ("joint", "per_direction"),
            "hardness_mode": HARDNESS,
            "row_weighting": ("all", "current"),
        }
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise InvalidParameters(f"{name} is {getattr(self, name)!r}; expected one of {values}")
        if "query_to_doc" not in self.directions or set(self.directions) - set(DIRECTIONS):
            raise InvalidParameters(
                f"directions is {self.directions}; expected query_to_doc and perhaps others of {', '.join(DIRECTIONS)}"
            )


def parse_options(options: dict[str, Any]) -> RankingOptions:
    """Options from a request."""
    try:
        return RankingOptions(**{**options, "directions": tuple(options.get("directions", ("query_to_doc",)))})
    except TypeError as error:
        raise InvalidParameters(f"options: {error}") from error


@dataclass(frozen=True)
class Bank:
    """Cached embeddings, one tensor [rows, dimension] a column: normalised where the similarity is cosine.

    ``texts`` and ``batch_texts`` are integers that name the texts of each column, of the bank and of the batch: equal
    numbers are equal texts. Without them no duplicate is taken out.
    """

    columns: list[Tensor]
    texts: list[Tensor] | None = None
    batch_texts: list[Tensor] | None = None


def contaccum_loss(columns: list[Tensor], bank: Bank | None, options: RankingOptions) -> Tensor:
    """The loss of a batch's embeddings, one tensor [rows, dimension] a column: queries, positives, negatives.

    Queries and each column of documents are the batch's followed by the bank's. A sample's number is its place in
    there. Row i's loss is logsumexp of its logits minus the logit of its positive; the loss is the rows' weighted sum.
    Directions stand in sentence-transformers' order, whatever the order of the option.

    A candidate whose text is the row's anchor or positive, and that belongs to another sample, is no candidate when the
    row or the candidate is cached: within a batch the sampler sees to it.
    """
    if options.similarity_fct == "cos_sim":
        columns = [torch.nn.functional.normalize(column, dim=1) for column in columns]
    batch = len(columns[0])
    if bank is not None:
        check_bank(columns, bank)
        columns = [torch.cat([own, cached.to(own)]) for own, cached in zip(columns, bank.columns, strict=True)]
    queries, positives = columns[:2]
    samples = torch.arange(len(queries))
    rows = samples if options.cache_queries else samples[:batch]
    own = rows[:, None] == samples[None, :]
    removed = duplicates(bank, rows, own, batch, len(columns))

    directions = []
    for direction in sorted(options.directions, key=DIRECTIONS.index):
        source = (queries if direction.startswith("query") else positives)[rows]
        candidate_columns = [0] if direction.endswith("query") else range(1, len(columns))
        parts = []
        for column in candidate_columns:
            similarities = source @ columns[column].T
            logits = similarities * options.scale
            if direction == "query_to_doc":
                logits = logits + penalties(similarities.detach(), own, column == 1, options)
            if direction in ("query_to_query", "doc_to_doc"):
                logits = logits.masked_fill(own, -torch.inf)
            parts.append(logits.masked_fill(removed[column], -torch.inf))
        directions.append(torch.cat(parts, dim=1))

    if options.partition_mode == "joint":
        log_partition = torch.logsumexp(torch.cat(directions, dim=1), dim=1)
    else:
        log_partition = torch.stack([torch.logsumexp(logits, dim=1) for logits in directions]).mean(dim=0)
    positive = (queries * positives).sum(dim=1)[rows] * options.scale
    weight = 1 / (len(rows) if options.row_weighting == "all" else batch)
    return (log_partition - positive).sum() * weight


def duplicates(bank: Bank | None, rows: Tensor, own: Tensor, batch: int, columns: int) -> list[Tensor]:
    """Per column of candidates, which ones a row must not see, [rows, samples]."""
    if bank is None or bank.texts is None or bank.batch_texts is None:
        return [torch.zeros_like(own)] * columns
    texts = [torch.cat([current, cached]) for current, cached in zip(bank.batch_texts, bank.texts, strict=True)]
    anchors, positives = texts[0][rows, None], texts[1][rows, None]
    samples = torch.arange(own.shape[1])
    one_is_cached = (rows[:, None] >= batch) | (samples[None, :] >= batch)
    return [((names == anchors) | (names == positives)) & ~own & one_is_cached for names in texts]


def penalties(similarities: Tensor, own: Tensor, is_positive: bool, options: RankingOptions) -> Tensor:
    """What hardness adds to the logits of a column of documents (arXiv 2509.20354, equation 5)."""
    concerned = {
        None: torch.zeros_like(own),
        "in_batch_negatives": ~own,
        "hard_negatives": torch.zeros_like(own) if is_positive else own,
        "all_negatives": ~own if is_positive else torch.ones_like(own),
    }[options.hardness_mode]
    return similarities * concerned * options.hardness_strength


def check_bank(columns: list[Tensor], bank: Bank) -> None:
    """Refuse a bank that does not fit the batch."""
    if len(bank.columns) != len(columns):
        raise InvalidParameters(f"the bank has {len(bank.columns)} columns, the batch {len(columns)}")
    lengths = {len(column) for column in bank.columns}
    widths = {column.shape[1] for column in (*columns, *bank.columns)}
    if len(lengths) > 1 or len(widths) > 1:
        raise InvalidParameters(
            f"the bank's columns have {sorted(lengths)} rows, and all columns dimensions {sorted(widths)}; expected one"
        )
    for side, names, rows in (("bank", bank.texts, bank.columns), ("batch", bank.batch_texts, columns)):
        if names is not None and [len(column) for column in names] != [len(column) for column in rows]:
            raise InvalidParameters(
                f"the {side}'s texts have {[len(column) for column in names]} names; expected one for each row"
            )
    if (bank.texts is None) != (bank.batch_texts is None):
        raise InvalidParameters("texts are named on one side only; name those of the batch and of the bank, or none")


class FrozenBankLoss(MultipleNegativesRankingLoss):
    """The formula over a model's embeddings, with a bank that no step changes."""

    def __init__(self, model: torch.nn.Module, bank: Bank, options: RankingOptions) -> None:
        super().__init__(model)
        self.bank = bank
        self.ranking_options = options

    def compute_loss_from_embeddings(self, embeddings: list[Tensor], labels: Tensor | None) -> Tensor:
        return contaccum_loss(embeddings, self.bank, self.ranking_options)


PUSH_AT = ("forward", "optimizerStep")


class ContAccumLoss(MultipleNegativesRankingLoss):
    """The formula over a model's embeddings, with a bank of its own: the last rows of earlier batches.

    Args:
        model: the sentence-transformers model.
        capacity: rows kept per column.
        reset_at_optimizer_step: empty the bank after each optimizer step.
        push_at: when a batch's rows enter: "forward", after the batch's loss, or "optimizerStep".
        warmup_steps: optimizer steps before the bank is read; rows enter from the first.
        mask_duplicates: take a cached candidate out of the softmax of a row whose anchor or positive it repeats, token
            by token.
        options: those of RankingOptions.

    Raises:
        InvalidParameters: an option that is unknown or has an impossible value.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        capacity: int,
        reset_at_optimizer_step: bool = False,
        push_at: str = "forward",
        warmup_steps: int = 0,
        mask_duplicates: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(model)
        for name, value, least in (("capacity", capacity, 1), ("warmup_steps", warmup_steps, 0)):
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise InvalidParameters(f"{name} is {value!r}; expected an integer >= {least}")
        if push_at not in PUSH_AT:
            raise InvalidParameters(f"push_at is {push_at!r}; expected one of {PUSH_AT}")
        self.ranking_options = parse_options(options)
        self.directions = self.ranking_options.directions
        self.partition_mode = self.ranking_options.partition_mode
        self.capacity = capacity
        self.reset_at_optimizer_step = reset_at_optimizer_step
        self.push_at = push_at
        self.warmup_steps = warmup_steps
        self.mask_duplicates = mask_duplicates
        self._optimizer_steps = 0
        # One entry a sample, oldest first: its row and its text in each column.
        self._rows: list[list[Tensor]] = []
        self._texts: list[list[tuple[int, ...]]] = []
        self._staged: list[tuple[list[list[Tensor]], list[list[tuple[int, ...]]]]] = []
        self._empty: list[Tensor] = []

    def forward(self, sentence_features: Iterable[Features], labels: Tensor | None = None) -> Tensor:
        features = list(sentence_features)
        texts = [list(row) for row in zip(*(token_rows(column) for column in features), strict=True)]
        columns = embed_columns(self.model, features)
        value = contaccum_loss(columns, self._bank(texts), self.ranking_options)
        self._push(columns, texts)
        return value

    def bank_columns(self) -> list[Tensor]:
        """Cached rows of each column, oldest first; [] before the first batch."""
        if not self._rows:
            return list(self._empty)
        return [torch.stack(list(column)) for column in zip(*self._rows, strict=True)]

    def on_optimizer_step(self) -> None:
        """To be called after each optimizer step."""
        self._optimizer_steps += 1
        for rows, texts in self._staged:
            self._write(rows, texts)
        self._staged = []
        if self.reset_at_optimizer_step:
            self._rows, self._texts = [], []

    def get_config_dict(self) -> dict[str, Any]:
        return {
            **asdict(self.ranking_options),
            "capacity": self.capacity,
            "reset_at_optimizer_step": self.reset_at_optimizer_step,
            "push_at": self.push_at,
            "warmup_steps": self.warmup_steps,
            "mask_duplicates": self.mask_duplicates,
        }

    def _bank(self, batch: list[list[tuple[int, ...]]]) -> Bank | None:
        if not self._rows or self._optimizer_steps < self.warmup_steps:
            return None
        if not self.mask_duplicates:
            return Bank(self.bank_columns())
        numbers: dict[tuple[int, ...], int] = {}

        def names(samples: list[list[tuple[int, ...]]]) -> list[Tensor]:
            columns = zip(*samples, strict=True)
            return [torch.tensor([numbers.setdefault(text, len(numbers)) for text in column]) for column in columns]

        return Bank(self.bank_columns(), names(self._texts), names(batch))

    def _push(self, columns: list[Tensor], texts: list[list[tuple[int, ...]]]) -> None:
        columns = [column.detach() for column in columns]
        if self.ranking_options.similarity_fct == "cos_sim":
            columns = [torch.nn.functional.normalize(column, dim=1) for column in columns]
        self._empty = [column[:0] for column in columns]
        rows = [list(sample) for sample in zip(*columns, strict=True)]
        if self.push_at == "forward":
            self._write(rows, texts)
        else:
            self._staged.append((rows, texts))

    def _write(self, rows: list[list[Tensor]], texts: list[list[tuple[int, ...]]]) -> None:
        self._rows = [*self._rows, *rows][-self.capacity :]
        self._texts = [*self._texts, *texts][-self.capacity :]
