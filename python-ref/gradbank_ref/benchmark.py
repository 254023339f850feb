"""Training steps to be timed, outside the trainer's bookkeeping but with the same work in each step."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from transformers import get_linear_schedule_with_warmup

from gradbank_ref.losses import Loss
from gradbank_ref.training import Batches, disable_dropout


@dataclass(frozen=True)
class Round:
    """Seconds and loss of each step of a round."""

    seconds: list[float]
    losses: list[float]


class Benchmark:
    """A training loop that runs some steps at a time and goes around its batches.

    A step tokenizes every column, computes the loss, backpropagates, clips the global norm, and lets the fused AdamW
    and the linear schedule step: what the Hugging Face Trainer does with gradient accumulation 1 and weight decay 0.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        loss: Loss,
        batches: Batches,
        *,
        learning_rate: float,
        warmup_steps: int = 0,
        total_steps: int | None = None,
        max_grad_norm: float = 1.0,
        dropout: bool = True,
    ) -> None:
        self.model = model
        self.loss = loss
        self.batches = batches
        self.max_grad_norm = max_grad_norm
        self.step = 0
        if not dropout:
            disable_dropout(model)
        self.parameters = [parameter for parameter in loss.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=learning_rate, eps=1e-8, weight_decay=0.0, fused=True)
        self.schedule = (
            None if total_steps is None else get_linear_schedule_with_warmup(self.optimizer, warmup_steps, total_steps)
        )

    def round(self, steps: int) -> Round:
        """Run the next steps."""
        seconds, losses = [], []
        self.model.train()
        for _ in range(steps):
            begin = time.perf_counter()
            losses.append(self._step())
            seconds.append(time.perf_counter() - begin)
        return Round(seconds, losses)

    def _step(self) -> float:
        batch = self.batches[self.step % len(self.batches)]
        features = [self.model.preprocess(list(column)) for column in zip(*batch, strict=True)]
        loss = self.loss(features, None)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, self.max_grad_norm)
        self.optimizer.step()
        if self.schedule is not None:
            self.schedule.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return float(loss.detach())


def reset_peak_memory() -> bool:
    """Let Linux forget the peak of this process's resident memory; False where that is not possible."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def memory() -> tuple[int, int]:
    """Resident memory of this process now, and its peak since the last reset, in bytes."""
    status = Path("/proc/self/status").read_text()

    def kibibytes(name: str) -> int:
        found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
        if found is None:
            raise RuntimeError(f"/proc/self/status has no line {name}")
        return int(found[1])

    return kibibytes("VmRSS") * 1024, kibibytes("VmHWM") * 1024
