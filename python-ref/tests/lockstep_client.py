"""What the tests of lockstep share: opening one, its batches as tensors, its replies by stage and name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from conftest import TEXTS, Client, column_tensors

from gradbank_ref.dropout import dropout_sites

MNRL = {"class": "MultipleNegativesRankingLoss"}
Group = list[list[list[str]]]
"""Texts of an accumulation group: batches, each of columns."""


def texts(rows: int, columns: int, shift: int = 0) -> list[list[str]]:
    """Columns of one batch; no two texts of a batch of up to 8 texts are the same."""
    return [[TEXTS[(shift + column * rows + row) % len(TEXTS)] for row in range(rows)] for column in range(columns)]


@dataclass(frozen=True)
class Entry:
    """One tensor of a reply, copied: replies may be views of weights."""

    facts: dict[str, Any]
    value: np.ndarray

    @property
    def noise(self) -> float:
        return self.facts["noise"]["max"]


class OpenLockstep:
    """A lockstep comparison behind a client."""

    def __init__(self, client: Client, folder: Path, loss: dict[str, Any], **params: Any) -> None:
        self.client = client
        self.opened = client(
            "lockstep_open", folder=str(folder), loss=loss, **{"mode": "teacher-forced", "whole": 10**9, **params}
        ).result
        self.handle, self.model = self.opened["lockstep"], self.opened["model"]

    def tensors(self, group: Group, keep: float | None = None, seed: int = 5) -> dict[str, np.ndarray]:
        """Tokens and, with ``keep``, random masks."""
        config = self.client.session.model(self.model)[0].config
        random = np.random.default_rng(seed)
        named = {}
        for number, columns in enumerate(group):
            own = column_tensors(self.client, self.model, columns)
            for column in range(len(columns) if keep is not None else 0):
                lengths = own[f"column{column}.lengths"]
                rows, width = len(lengths), int(lengths.max())
                for site in dropout_sites(config):
                    attention = (rows, config.num_attention_heads, width, width)
                    shape = attention if site.kind == "attention" else (rows, width, config.hidden_size)
                    own[f"column{column}.dropout.{site.name}"] = (random.random(shape) < keep).astype(np.uint8)
            named |= {f"batch{number}.{name}": value for name, value in own.items()}
        return named

    def step(self, group: Group, **drawn: Any) -> dict[tuple[str, str], Entry]:
        return self.send(self.tensors(group, **drawn), len(group), len(group[0]))

    def send(self, tensors: dict[str, np.ndarray], batches: int, columns: int) -> dict[tuple[str, str], Entry]:
        reply = self.client("lockstep_step", tensors, lockstep=self.handle, batches=batches, columns=columns)
        self.result = reply.result
        return entries(reply)

    def update(self, learning_rate: float) -> dict[tuple[str, str], Entry]:
        return entries(self.client("lockstep_update", lockstep=self.handle, learning_rate=learning_rate))

    def __call__(self, method: str, **params: Any) -> Any:
        return self.client(f"lockstep_{method}", lockstep=self.handle, **params)


def entries(reply: Any) -> dict[tuple[str, str], Entry]:
    found = {}
    for index, facts in enumerate(reply.result["tensors"]):
        frame = reply.tensors[f"{facts['sent']}.{index}"]
        found[facts["stage"], facts["name"]] = Entry(facts, np.array(frame))
    assert len(reply.tensors) == len(reply.result["tensors"]) == len(found)
    return found


def stage(found: dict[tuple[str, str], Entry], name: str) -> dict[str, Entry]:
    return {key[1]: entry for key, entry in found.items() if key[0] == name}
