"""Methods of a lockstep comparison: the client's steps, taken here too, stage by stage and with their rounding."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gradbank_ref.dropout import masks_of
from gradbank_ref.errors import InvalidParameters
from gradbank_ref.lockstep.facts import environment, facts
from gradbank_ref.lockstep.lockstep import Lockstep
from gradbank_ref.lockstep.optimizer import parse_arguments
from gradbank_ref.lockstep.reference_loss import reference_loss
from gradbank_ref.lockstep.report import Record, report
from gradbank_ref.lockstep.side import Batch, Side
from gradbank_ref.models import load
from gradbank_ref.session import Session
from gradbank_ref.tokens import column_features
from gradbank_ref.wire import Reply, Tensors


def lockstep_open(
    session: Session,
    tensors: Tensors,
    *,
    folder: str,
    loss: dict[str, Any],
    mode: str,
    arguments: dict[str, Any] | None = None,
    noise: bool = True,
    dropout: bool = False,
    max_length: int | None = None,
    whole: int = 65536,
) -> Reply:
    """Load a model and a loss; no step is taken yet.

    Args:
        loss: ``{class, options}`` for MultipleNegativesRankingLoss, CachedMultipleNegativesRankingLoss, PullRequest3612
            and ContAccum, or ``{file, class, options}`` for a class in a Python file, built as Class(model, **options).
        mode: "teacher-forced" or "free-running".
        arguments: adam_beta1, adam_beta2, adam_epsilon, weight_decay, max_grad_norm; defaults of the Trainer.
        noise: compute in float64 too, and measure the rounding of float32.
        dropout: masks come with the batches.
        max_length: tokens at which texts are cut; default: the model's.
        whole: tensors of up to so many elements are sent whole, larger ones as sketches.

    Result: ``lockstep`` and ``model``, handles of the comparison and of its float32 model; ``facts`` and
    ``environment``.
    """
    if not isinstance(whole, int) or whole < 0:
        raise InvalidParameters(f"whole is {whole!r}; expected an integer >= 0")
    update = parse_arguments(arguments)
    build = reference_loss(loss)

    def side(dtype: str) -> Side:
        model = load(folder, dtype=dtype)
        if max_length is not None:
            model.max_seq_length = max_length
        return Side(model, build(model), update)

    single = side("float32")
    lockstep = Lockstep(
        single, side("float64") if noise else None, mode, dropout, may_lack_double=loss.get("file") is not None
    )
    model = session.add_model(single.model)
    return Reply(
        {
            "lockstep": session.add_lockstep(lockstep, model, whole),
            "model": model,
            "facts": facts(Path(folder), single.model, single.loss, loss["class"], update, dropout),
            "environment": environment(),
        }
    )


def lockstep_step(
    session: Session, tensors: Tensors, *, lockstep: str, batches: int, columns: int, parameters: bool = True
) -> Reply:
    """Forward and backward passes of an accumulation group: all stages up to ``parameter-gradients``.

    ``parameters``: report gradients, moments and weights of all parameters, here and in the update that follows.

    Tensors in: ``batch<k>.column<c>.input_ids``, ``.lengths`` and, with dropout, ``.dropout.<site>``, as in loss_step.

    Result: ``tensors``, one entry a tensor (``lockstep.report``); ``seconds`` that the passes took, without what the
    comparison adds; ``noise_unavailable`` and ``scores_unavailable``,
    where something could not be computed. Tensors out: ``value.<i>`` or ``sketch.<i>`` for entry i.
    """
    opened = session.lockstep(lockstep)
    encoder = opened.lockstep.single.model
    given = [_of_batch(tensors, number) for number in range(batches)]
    others = set(tensors) - {f"batch{number}.{name}" for number, own in enumerate(given) for name in own}
    if others:
        raise InvalidParameters(f"the tensors {', '.join(sorted(others))} belong to none of the {batches} batches")
    group = []
    for number, own in enumerate(given):
        try:
            masks = masks_of(own, columns)
            if masks is None and opened.lockstep.dropout:
                # Sites of rate 0 need no mask.
                masks = [{} for _ in range(columns)]
            group.append(Batch(column_features(encoder, own, columns), masks))
        except InvalidParameters as error:
            raise InvalidParameters(f"batch {number}: {error}") from error
    return _reply(opened.lockstep, opened.whole, lambda: opened.lockstep.step(group, parameters))


def lockstep_update(session: Session, tensors: Tensors, *, lockstep: str, learning_rate: float) -> Reply:
    """Clip the gradients of the last step, update the weights, and tell the loss: ``clip-norm`` (the norm before
    clipping), ``moments``, ``weights`` and ``bank`` after the update, in the form of lockstep_step."""
    opened = session.lockstep(lockstep)
    return _reply(opened.lockstep, opened.whole, lambda: opened.lockstep.update(float(learning_rate)))


def lockstep_pull(session: Session, tensors: Tensors, *, lockstep: str, stage: str, names: list[str]) -> Reply:
    """Whole tensors of the last step and update, in the form of lockstep_step."""
    opened = session.lockstep(lockstep)
    return _reply(opened.lockstep, None, lambda: opened.lockstep.pull(stage, names))


def lockstep_gradients(session: Session, tensors: Tensors, *, lockstep: str) -> Reply:
    """The float32 gradients that the update uses, before clipping: ``gradients.<name>``."""
    gradients = session.lockstep(lockstep).lockstep.gradients()
    return Reply({}, {f"gradients.{name}": gradient.numpy() for name, gradient in gradients.items()})


def lockstep_state(session: Session, tensors: Tensors, *, lockstep: str) -> Reply:
    """The float32 state after the last update, of all parameters that were updated: ``weights.<name>``,
    ``first.<name>``, ``second.<name>``, and ``bank.<column>`` [rows, dimension], oldest row first.

    Result: ``step``, the updates done, and ``bank``, whether the loss has one.
    """
    opened = session.lockstep(lockstep).lockstep
    state: Tensors = {}
    for name, parameter in opened.single.updated().items():
        moments = opened.single.optimizer.state[parameter]
        state[f"weights.{name}"] = parameter.detach().numpy()
        state[f"first.{name}"] = moments["exp_avg"].numpy()
        state[f"second.{name}"] = moments["exp_avg_sq"].numpy()
    bank = opened.single.bank("")
    state |= {f"bank.{column}": rows.contiguous().numpy() for column, rows in enumerate(bank.values())}
    return Reply({"step": opened.updates, "bank": bool(bank)}, state)


def lockstep_activations(session: Session, tensors: Tensors, *, lockstep: str, batch: int, column: int) -> Reply:
    """Outputs of the encoder's modules for a column of the last step's batches; to be called before the update.

    Result: ``activations``, a list of ``{module, shape, noise}``. Tensors: ``value.<i>``, real tokens only.
    """
    entries, frames = report(session.lockstep(lockstep).lockstep.activations(batch, column), None)
    listed = [{"module": entry["name"], "shape": entry["shape"], "noise": entry["noise"]} for entry in entries]
    return Reply({"activations": listed}, frames)


def lockstep_close(session: Session, tensors: Tensors, *, lockstep: str) -> Reply:
    """Forget a comparison and its models."""
    session.close_lockstep(lockstep)
    return Reply()


def _of_batch(tensors: Tensors, number: int) -> Tensors:
    own = re.compile(rf"batch{number}\.(.+)")
    return {found[1]: value for name, value in tensors.items() if (found := own.fullmatch(name))}


def _reply(lockstep: Lockstep, whole: int | None, compute: Callable[[], list[Record]]) -> Reply:
    """What ``compute`` finds, and the seconds that it took: the rest of a request is comparison."""
    began = time.perf_counter()
    records = compute()
    seconds = time.perf_counter() - began
    entries, frames = report(records, whole)
    return Reply({"tensors": entries, "seconds": seconds, **lockstep.notes}, frames)
