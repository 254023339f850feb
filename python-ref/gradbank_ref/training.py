"""The real SentenceTransformerTrainer, fed given batches in the given order."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.base.sampler import DefaultBatchSampler
from sentence_transformers.sentence_transformer.evaluation import SentenceEvaluator
from transformers import EarlyStoppingCallback, TrainerCallback, TrainerState

from gradbank_ref.errors import InvalidParameters
from gradbank_ref.losses import Loss
from gradbank_ref.models import named_parameters
from gradbank_ref.pull_request_3612 import OptimizerStepCallback, PullRequest3612Loss

Batches = list[list[list[str]]]


@dataclass(frozen=True)
class TrainingRecord:
    """What a training run leaves: the trainer's log, the loss of every batch in full precision, and, when asked for,
    the weights after every optimizer step."""

    log_history: list[dict[str, Any]]
    batch_losses: list[float]
    steps: int
    step_weights: list[dict[str, torch.Tensor]]


@dataclass(frozen=True)
class RunRecord:
    """What a run of its own batches, evaluations and checkpoints leaves."""

    state: dict[str, Any]
    checkpoints: list[str]


class GivenBatchSampler(DefaultBatchSampler):
    """Yields rows 0, 1, 2, ... in batches of given sizes, the same in every epoch."""

    def __init__(self, dataset: Dataset, sizes: list[int], **options: Any) -> None:
        super().__init__(dataset, **options)
        self.sizes = sizes

    def __iter__(self) -> Iterator[list[int]]:
        begin = 0
        for size in self.sizes:
            yield list(range(begin, begin + size))
            begin += size

    def __len__(self) -> int:
        return len(self.sizes)


class GivenScores(SentenceEvaluator):
    """Gives one number after the other as the metric ``dev_score``, whatever the model."""

    def __init__(self, scores: list[float]) -> None:
        super().__init__()
        self.scores = iter(scores)
        self.primary_metric = "dev_score"

    def __call__(self, *arguments: Any, **keywords: Any) -> dict[str, float]:
        return {self.primary_metric: next(self.scores)}


class WeightRecorder(TrainerCallback):
    """Copies all weights after every optimizer step."""

    def __init__(self, model: SentenceTransformer) -> None:
        self.model = model
        self.steps: list[dict[str, torch.Tensor]] = []

    def on_step_end(self, *arguments: Any, **keywords: Any) -> None:
        self.steps.append(
            {name: parameter.detach().clone() for name, parameter in named_parameters(self.model).items()}
        )


class RecordingTrainer(SentenceTransformerTrainer):
    """Keeps the loss of every batch: the log rounds and averages."""

    batch_losses: list[float]

    def compute_loss(self, *arguments: Any, **keywords: Any) -> Any:
        result = super().compute_loss(*arguments, **keywords)
        value = result[0] if isinstance(result, tuple) else result
        self.batch_losses.append(float(value.detach()))
        return result


def train(
    model: SentenceTransformer,
    loss: Loss,
    columns: list[str],
    batches: Batches,
    arguments: dict[str, Any],
    dropout: bool = False,
    every_step: bool = False,
) -> TrainingRecord:
    """Train ``model`` in place on the CPU.

    Args:
        columns: names of the text columns, anchor first.
        batches: per batch its rows, each a list of one text a column.
        arguments: keyword arguments of SentenceTransformerTrainingArguments. Saving and reporting are off, every step
            is logged, and one pass over the batches is the default.
        dropout: False sets every dropout to 0.
        every_step: keep the weights of every optimizer step.
    """
    check_batches(columns, batches)
    if not dropout:
        disable_dropout(model)
    rows = [row for batch in batches for row in batch]
    dataset = Dataset.from_dict({name: [row[index] for row in rows] for index, name in enumerate(columns)})
    sizes = [len(batch) for batch in batches]

    def sampler(dataset: Dataset, **options: Any) -> GivenBatchSampler:
        return GivenBatchSampler(dataset, sizes, **options)

    with tempfile.TemporaryDirectory() as folder:
        training_arguments = SentenceTransformerTrainingArguments(
            **{
                "num_train_epochs": 1,
                "use_cpu": True,
                "report_to": "none",
                "save_strategy": "no",
                "logging_steps": 1,
                "logging_nan_inf_filter": False,
                "disable_tqdm": True,
                **arguments,
                "output_dir": folder,
                "batch_sampler": sampler,
            }
        )
        trainer = RecordingTrainer(model=model, args=training_arguments, train_dataset=dataset, loss=loss)
        trainer.batch_losses = []
        recorder = WeightRecorder(model)
        if every_step:
            trainer.add_callback(recorder)
        if isinstance(loss, PullRequest3612Loss):
            trainer.add_callback(OptimizerStepCallback(loss))
        trainer.train()
        model.eval()
        return TrainingRecord(
            [dict(entry) for entry in trainer.state.log_history],
            trainer.batch_losses,
            trainer.state.global_step,
            recorder.steps,
        )


def train_run(
    model: SentenceTransformer,
    loss: Loss,
    columns: list[str],
    rows: list[list[str]],
    arguments: dict[str, Any],
    evaluation_rows: list[list[str]] | None = None,
    scores: list[float] | None = None,
    early_stopping: dict[str, Any] | None = None,
) -> RunRecord:
    """Train ``model`` in place on the CPU, without dropout, with the trainer's samplers, evaluations and checkpoints.

    Args:
        rows: one text a column each.
        arguments: keyword arguments of SentenceTransformerTrainingArguments.
        evaluation_rows: rows whose loss is evaluated.
        scores: what the evaluations give as ``dev_score``, in order.
        early_stopping: keyword arguments of EarlyStoppingCallback.
    """
    disable_dropout(model)

    def dataset(rows: list[list[str]]) -> Dataset:
        return Dataset.from_dict({name: [row[index] for row in rows] for index, name in enumerate(columns)})

    with tempfile.TemporaryDirectory() as folder:
        trainer = SentenceTransformerTrainer(
            model=model,
            args=SentenceTransformerTrainingArguments(
                **{"use_cpu": True, "report_to": "none", "disable_tqdm": True, **arguments, "output_dir": folder}
            ),
            train_dataset=dataset(rows),
            eval_dataset=None if evaluation_rows is None else dataset(evaluation_rows),
            evaluator=None if scores is None else GivenScores(scores),
            loss=loss,
            callbacks=[] if early_stopping is None else [EarlyStoppingCallback(**early_stopping)],
        )
        trainer.train()
        model.eval()
        checkpoints = sorted(path.name for path in Path(folder).glob("checkpoint-*"))
        state = asdict(trainer.state)
        if state["best_model_checkpoint"] is not None:
            state["best_model_checkpoint"] = Path(state["best_model_checkpoint"]).name
        return RunRecord(state, checkpoints)


def read_trainer_state(path: str) -> dict[str, Any]:
    """A trainer_state.json as transformers reads it."""
    return asdict(TrainerState.load_from_json(path))


def check_batches(columns: list[str], batches: Batches) -> None:
    """Refuse batches whose rows do not have one text a column."""
    if not batches or any(not batch for batch in batches):
        raise InvalidParameters("batches must hold at least one batch, and each batch at least one row")
    for number, batch in enumerate(batches):
        for index, row in enumerate(batch):
            if len(row) != len(columns):
                raise InvalidParameters(
                    f"batch {number}, row {index} has {len(row)} texts; expected {len(columns)}: {', '.join(columns)}"
                )


def disable_dropout(model: torch.nn.Module) -> None:
    """Set the rate of every dropout module to 0 (eager attention reads it from there too)."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
