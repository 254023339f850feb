"""What one server keeps between requests: the loaded models, open lockstep comparisons and a running benchmark."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gradbank_ref.errors import UnknownHandle

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from gradbank_ref.benchmark import Benchmark
    from gradbank_ref.lockstep.lockstep import Lockstep


@dataclass(frozen=True)
class OpenLockstep:
    """A lockstep comparison, the handle of its float32 model, and up to how many elements tensors are sent whole."""

    lockstep: Lockstep
    model: str
    whole: int


@dataclass
class Session:
    """State of one server process."""

    models: dict[str, SentenceTransformer] = field(default_factory=dict)
    locksteps: dict[str, OpenLockstep] = field(default_factory=dict)
    benchmark: Benchmark | None = None
    stopped: bool = False
    _numbers: itertools.count = field(default_factory=lambda: itertools.count(1))

    def add_model(self, model: SentenceTransformer) -> str:
        """Keep a model and return its handle."""
        handle = f"model-{next(self._numbers)}"
        self.models[handle] = model
        return handle

    def model(self, handle: str) -> SentenceTransformer:
        """The model behind a handle."""
        if handle not in self.models:
            known = ", ".join(self.models) or "none"
            raise UnknownHandle(f"model handle {handle!r} is not loaded; loaded: {known}. Call load_model first")
        return self.models[handle]

    def release(self, handle: str) -> None:
        """Forget a model."""
        self.model(handle)
        del self.models[handle]

    def add_lockstep(self, lockstep: Lockstep, model: str, whole: int) -> str:
        """Keep a lockstep comparison and return its handle."""
        handle = f"lockstep-{next(self._numbers)}"
        self.locksteps[handle] = OpenLockstep(lockstep, model, whole)
        return handle

    def lockstep(self, handle: str) -> OpenLockstep:
        """The lockstep comparison behind a handle."""
        if handle not in self.locksteps:
            known = ", ".join(self.locksteps) or "none"
            raise UnknownHandle(f"lockstep handle {handle!r} is not open; open: {known}. Call lockstep_open first")
        return self.locksteps[handle]

    def close_lockstep(self, handle: str) -> None:
        """Forget a lockstep comparison and its model."""
        self.models.pop(self.lockstep(handle).model, None)
        del self.locksteps[handle]
