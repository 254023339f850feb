import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gradbank_ref.methods import find_method
from gradbank_ref.random_models import ARCHITECTURES
from gradbank_ref.session import Session

TEXTS = [
    "a quick brown fox jumps over the lazy dog",
    "the dog sleeps in the sun",
    "rivers run to the sea, and the sea is not full",
    "red",
    "banking on the bank of a river, said the banker",
    "a fox is an animal",
    "hello world",
    "the sun is a star",
]


class Client:
    """Calls methods in this process, as the server would."""

    def __init__(self) -> None:
        self.session = Session()

    def __call__(self, method: str, tensors: dict[str, np.ndarray] | None = None, **params: Any) -> Any:
        return find_method(method)(self.session, tensors or {}, **params)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture(scope="session")
def model_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One small random model of every architecture."""
    root = tmp_path_factory.mktemp("models")
    for architecture in ARCHITECTURES:
        Client()("make_model", architecture=architecture, folder=str(root / architecture), texts=TEXTS, dropout=0.2)
    return {architecture: root / architecture for architecture in ARCHITECTURES}


def column_tensors(client: Client, model: str, columns: list[list[str]]) -> dict[str, np.ndarray]:
    """Tokens of every column, named for loss_step."""
    tensors = {}
    for column, texts in enumerate(columns):
        tokens = client("tokenize", model=model, texts=texts).tensors
        tensors |= {f"column{column}.{name}": value for name, value in tokens.items()}
    return tensors
