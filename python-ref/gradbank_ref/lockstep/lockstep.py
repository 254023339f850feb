"""A lockstep comparison's believed half: the same steps in float32 and in float64, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gradbank_ref.errors import InvalidParameters
from gradbank_ref.lockstep.activations import activations
from gradbank_ref.lockstep.report import Record
from gradbank_ref.lockstep.side import Batch, BatchResult, Side, Stages

MODES = ("teacher-forced", "free-running")


class Lockstep:
    """Takes steps in float32, whose state is the record, and in float64, whose results are believed.

    Teacher-forced: the float64 side starts every step from the float32 state, and every update from the float32
    gradients, so that their difference is the rounding of that step alone. Free-running: it goes its own way.

    Args:
        single: the float32 side.
        double: the float64 side; None: rounding is not measured.
        mode: "teacher-forced" or "free-running".
        dropout: batches come with masks.
        may_lack_double: go on without the float64 side when its loss raises (a loss of the user's need not work in
            float64); ``notes["noise_unavailable"]`` then says why.
    """

    def __init__(
        self, single: Side, double: Side | None, mode: str, dropout: bool = False, may_lack_double: bool = False
    ) -> None:
        if mode not in MODES:
            raise InvalidParameters(f"mode is {mode!r}; expected one of {', '.join(MODES)}")
        self.single = single
        self.double = double
        self.mode = mode
        self.dropout = dropout
        self.may_lack_double = may_lack_double
        self.updates = 0
        self.notes: dict[str, str] = {}
        self._records: dict[tuple[str, str], Record] = {}
        self._batches: Sequence[Batch] | None = None
        self._parameters = True
        self._gradients: tuple[dict[str, Tensor], dict[str, Tensor]] = ({}, {})

    def step(self, batches: Sequence[Batch], parameters: bool = True) -> list[Record]:
        """Forward and backward passes of an accumulation group: all stages up to ``parameter-gradients``.

        ``parameters``: report the tensors of all parameters, here and in the update that follows.
        """
        self._parameters = parameters
        self._check(batches)
        self._forget()
        if self.double is not None and (self.mode == "teacher-forced" or self.updates == 0):
            self.double.take_over(self.single)
        for side in self._sides():
            side.forget_gradients()
        singles: Stages = {}
        doubles: Stages = {}
        for number, batch in enumerate(batches):
            name = f"batch{number}"
            random = torch.get_rng_state()
            result = self.single.forward_backward(name, batch, 1 / len(batches))
            singles |= result.tensors
            if result.scores_unavailable is not None:
                self.notes["scores_unavailable"] = f"{name}: {result.scores_unavailable}"
            # A loss that draws numbers draws the same ones on both sides.
            torch.set_rng_state(random)
            again = self._double_pass(name, batch, 1 / len(batches))
            doubles |= {} if again is None else again.tensors
        self._gradients = (
            self.single.gradients(),
            {} if self.double is None else self.double.gradients(),
        )
        own, precise = self._gradients
        if parameters:
            singles |= {("parameter-gradients", name): gradient for name, gradient in own.items()}
            doubles |= {("parameter-gradients", name): gradient for name, gradient in precise.items()}
        self._batches = batches
        return self._keep(singles, {} if self.double is None else doubles)

    def update(self, learning_rate: float) -> list[Record]:
        """Clip, update the weights, tell the loss: ``clip-norm``, ``moments``, ``weights``, and ``bank`` afterwards."""
        if self._batches is None:
            raise InvalidParameters("there are no gradients to update with; call lockstep_step first")
        self._batches = None
        own, precise = self._gradients
        singles = self.single.update(learning_rate, own)
        given = own if self.mode == "teacher-forced" else precise
        doubles = {} if self.double is None else self.double.update(learning_rate, given)
        self.updates += 1
        if not self._parameters:
            singles = {key: tensor for key, tensor in singles.items() if key[0] not in ("moments", "weights")}
        return self._keep(singles, doubles)

    def pull(self, stage: str, names: Sequence[str]) -> list[Record]:
        """Tensors of the last step and update."""
        missing = [name for name in names if (stage, name) not in self._records]
        if missing:
            there = [name for key, name in self._records if key == stage]
            raise InvalidParameters(
                f"the last step has no {stage} {', '.join(missing)}; it has {', '.join(there) or 'none of that stage'}"
            )
        return [self._records[stage, name] for name in names]

    def gradients(self) -> dict[str, Tensor]:
        """The float32 gradients of the last step, before clipping."""
        if not self._gradients[0]:
            raise InvalidParameters("there are no gradients yet; call lockstep_step first")
        return self._gradients[0]

    def activations(self, batch: int, column: int) -> list[Record]:
        """Outputs of the encoder's modules for a column of the step's batches, with the weights before the update."""
        if self._batches is None:
            raise InvalidParameters("activations belong to a step; call this between lockstep_step and lockstep_update")
        if not 0 <= batch < len(self._batches):
            raise InvalidParameters(f"batch is {batch}; the last step had {len(self._batches)}, numbered from 0")
        given = self._batches[batch]
        if not 0 <= column < len(given.features):
            raise InvalidParameters(f"column is {column}; the last step had {len(given.features)}, numbered from 0")
        masks = None if given.masks is None else given.masks[column]
        both = [activations(side.model, given.features[column], masks) for side in self._sides()]
        precise = [tensor for _, tensor in both[1]] if self.double is not None else [None] * len(both[0])
        return [
            Record("activations", module, tensor, double)
            for (module, tensor), double in zip(both[0], precise, strict=True)
        ]

    def _sides(self) -> list[Side]:
        return [self.single] if self.double is None else [self.single, self.double]

    def _check(self, batches: Sequence[Batch]) -> None:
        if not batches:
            raise InvalidParameters("a step needs at least one batch")
        for number, batch in enumerate(batches):
            if (batch.masks is not None) != self.dropout:
                given = "no dropout masks" if self.dropout else "dropout masks"
                raise InvalidParameters(
                    f"batch {number} has {given}, but the lockstep was opened with dropout={self.dropout}"
                )

    def _forget(self) -> None:
        self._records = {}
        self._batches = None
        self._gradients = ({}, {})
        self.notes.pop("scores_unavailable", None)

    def _double_pass(self, name: str, batch: Batch, scale: float) -> BatchResult | None:
        if self.double is None:
            return None
        try:
            return self.double.forward_backward(name, batch, scale)
        except Exception as error:
            if not self.may_lack_double:
                raise
            self.notes["noise_unavailable"] = f"in float64 the loss raises {type(error).__name__}: {error}"
            self.double = None
            return None

    def _keep(self, singles: Stages, doubles: Stages) -> list[Record]:
        records = []
        for (stage, name), single in singles.items():
            double = doubles.get((stage, name))
            if double is not None and double.shape != single.shape:
                self.notes["noise_unavailable"] = (
                    f"{stage} {name} has shape {list(single.shape)} in float32 and {list(double.shape)} in float64"
                )
                double = None
            equal = None
            if stage == "replayed-embeddings":
                first = "embeddings", name
                equal = _same_bits(single, singles[first])
                if double is not None:
                    equal = equal and _same_bits(double, doubles[first])
            records.append(Record(stage, name, single, double, equal))
        self._records |= {(record.stage, record.name): record for record in records}
        return records


def _same_bits(left: Tensor, right: Tensor) -> bool:
    return torch.equal(left.contiguous().view(torch.uint8), right.contiguous().view(torch.uint8))
