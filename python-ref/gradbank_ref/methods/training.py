"""Methods that train."""

from __future__ import annotations

from typing import Any

from gradbank_ref import training
from gradbank_ref.losses import build_loss
from gradbank_ref.methods.models import weight_tensors
from gradbank_ref.models import load
from gradbank_ref.session import Session
from gradbank_ref.tokens import limited_length
from gradbank_ref.wire import Reply, Tensors


def train(
    session: Session,
    tensors: Tensors,
    *,
    folder: str,
    loss: dict[str, Any],
    columns: list[str],
    batches: training.Batches,
    arguments: dict[str, Any],
    dropout: bool = False,
    max_length: int | None = None,
    attention: str = "eager",
    every_step: bool = False,
) -> Reply:
    """Train a model folder with the real trainer on exactly these batches; the folder stays as it is.

    Result: ``log_history``, ``batch_losses`` and ``steps``. Tensors: the final ``parameters.<name>`` and, with
    ``every_step``, ``steps.<number>.<name>`` after each optimizer step, from 0.
    """
    model = load(folder, attention=attention)
    with limited_length(model, max_length):
        record = training.train(model, build_loss(model, loss), columns, batches, arguments, dropout, every_step)
    steps = {
        f"steps.{number}.{name}": value.numpy()
        for number, weights in enumerate(record.step_weights)
        for name, value in weights.items()
    }
    return Reply(
        {"log_history": record.log_history, "batch_losses": record.batch_losses, "steps": record.steps},
        weight_tensors(model) | steps,
    )


def train_run(
    session: Session,
    tensors: Tensors,
    *,
    folder: str,
    loss: dict[str, Any],
    columns: list[str],
    rows: list[list[str]],
    arguments: dict[str, Any],
    evaluation_rows: list[list[str]] | None = None,
    scores: list[float] | None = None,
    early_stopping: dict[str, Any] | None = None,
) -> Reply:
    """Train a model folder with the real trainer's own samplers, evaluations and checkpoints.

    Result: ``state``, the TrainerState at the end, and ``checkpoints``, the names of the folders that are left.
    Tensors: the final ``parameters.<name>``. The model folder stays as it is.
    """
    model = load(folder, attention="eager")
    record = training.train_run(
        model, build_loss(model, loss), columns, rows, arguments, evaluation_rows, scores, early_stopping
    )
    return Reply({"state": record.state, "checkpoints": record.checkpoints}, weight_tensors(model))


def read_trainer_state(session: Session, tensors: Tensors, *, path: str) -> Reply:
    """Read a trainer_state.json with transformers. Result: ``state``."""
    return Reply({"state": training.read_trainer_state(path)}, {})
