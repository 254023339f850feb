"""What one server keeps between requests: the loaded models and a running benchmark."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gradbank_ref.errors import UnknownHandle

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from gradbank_ref.benchmark import Benchmark


@dataclass
class Session:
    """State of one server process."""

    models: dict[str, SentenceTransformer] = field(default_factory=dict)
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
