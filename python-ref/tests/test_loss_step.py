from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TEXTS, Client, column_tensors

from gradbank_ref.dropout import dropout_sites
from gradbank_ref.errors import DropoutMismatch, InvalidParameters
from gradbank_ref.random_models import ARCHITECTURES

PAIRS = [TEXTS[:5], TEXTS[3:8]]
TRIPLETS = [*PAIRS, TEXTS[2:7]]
PLAIN = {"class": "MultipleNegativesRankingLoss"}


def cached(mini_batch_size: int) -> dict[str, Any]:
    return {"class": "CachedMultipleNegativesRankingLoss", "options": {"mini_batch_size": mini_batch_size}}


def drawn_masks(client: Client, model: str, tensors: dict[str, np.ndarray], keep: float) -> dict[str, np.ndarray]:
    """Random masks for every column and site, padded to the column's longest text."""
    config = client.session.model(model)[0].config
    random = np.random.default_rng(5)
    masks = {}
    for column in range(sum(name.endswith("lengths") for name in tensors)):
        lengths = tensors[f"column{column}.lengths"]
        rows, width = len(lengths), int(lengths.max())
        for site in dropout_sites(config):
            attention = (rows, config.num_attention_heads, width, width)
            shape = attention if site.kind == "attention" else (rows, width, config.hidden_size)
            masks[f"column{column}.dropout.{site.name}"] = (random.random(shape) < keep).astype(np.uint8)
    return masks


def assert_same(left: dict[str, np.ndarray], right: dict[str, np.ndarray], tolerance: float = 1e-10) -> None:
    assert set(left) == set(right)
    for name in left:
        np.testing.assert_allclose(left[name], right[name], atol=tolerance, rtol=0, err_msg=name)


def differ(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> bool:
    return any(np.abs(left[name] - right[name]).max() > 1e-4 for name in left)


@pytest.mark.parametrize("columns", [PAIRS, TRIPLETS], ids=["pairs", "triplets"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_cached_loss_equals_the_direct_one_with_the_same_masks(
    client: Client, model_folders: dict[str, Path], architecture: str, columns: list[list[str]]
) -> None:
    model = client("load_model", folder=str(model_folders[architecture]), dtype="float64").result["model"]
    tensors = column_tensors(client, model, columns)
    plain = client("loss_step", tensors, model=model, loss=PLAIN, columns=len(columns))
    masks = drawn_masks(client, model, tensors, keep=0.8)
    dropped = client("loss_step", tensors | masks, model=model, loss=PLAIN, columns=len(columns))
    assert differ(plain.tensors, dropped.tensors)
    assert all(np.abs(value).max() > 0 for value in plain.tensors.values())
    for mini_batch_size in (2, 5):
        without = client("loss_step", tensors, model=model, loss=cached(mini_batch_size), columns=len(columns))
        assert without.result["loss"] == pytest.approx(plain.result["loss"], rel=1e-12)
        assert_same(without.tensors, plain.tensors)
        given = client("loss_step", tensors | masks, model=model, loss=cached(mini_batch_size), columns=len(columns))
        assert given.result["loss"] == pytest.approx(dropped.result["loss"], rel=1e-12)
        assert_same(given.tensors, dropped.tensors)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_masks_of_ones_scale_by_the_keep_rate(
    client: Client, model_folders: dict[str, Path], architecture: str
) -> None:
    """A mask of ones multiplies by 1 / (1 - rate), which a model with that factor built in can check."""
    model = client("load_model", folder=str(model_folders[architecture]), dtype="float64").result["model"]
    encoder = client.session.model(model)
    tensors = column_tensors(client, model, PAIRS)
    ones = {name: np.ones_like(mask) for name, mask in drawn_masks(client, model, tensors, keep=1).items()}
    given = client("loss_step", tensors | ones, model=model, loss=PLAIN, columns=2)

    original = torch.nn.functional.dropout
    try:
        torch.nn.functional.dropout = lambda input, p=0.5, training=True, inplace=False: input / 0.8
        expected = client("loss_step", tensors, model=model, loss=PLAIN, columns=2)
    finally:
        torch.nn.functional.dropout = original
    assert_same(given.tensors, expected.tensors)
    assert not encoder.training


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_rate_0_equals_eval_mode(client: Client, tmp_path: Path, architecture: str) -> None:
    client("make_model", architecture=architecture, folder=str(tmp_path / "m"), texts=TEXTS, dropout=0.0)
    model = client("load_model", folder=str(tmp_path / "m"), dtype="float64").result["model"]
    tensors = column_tensors(client, model, PAIRS)
    ones = {name: np.ones_like(mask) for name, mask in drawn_masks(client, model, tensors, keep=1).items()}
    plain = client("loss_step", tensors, model=model, loss=PLAIN, columns=2)
    assert_same(client("loss_step", tensors | ones, model=model, loss=PLAIN, columns=2).tensors, plain.tensors, 0)
    zero = next(iter(ones))
    with pytest.raises(DropoutMismatch, match="has rate 0 but its mask drops values"):
        client("loss_step", tensors | ones | {zero: np.zeros_like(ones[zero])}, model=model, loss=PLAIN, columns=2)


def test_every_single_mask_matters(client: Client, model_folders: dict[str, Path]) -> None:
    model = client("load_model", folder=str(model_folders["bert"]), dtype="float64").result["model"]
    tensors = column_tensors(client, model, TRIPLETS)
    ones = {name: np.ones_like(mask) for name, mask in drawn_masks(client, model, tensors, keep=1).items()}
    kept = client("loss_step", tensors | ones, model=model, loss=PLAIN, columns=3)
    for name, mask in ones.items():
        changed = mask.copy()
        changed[1, ..., 0, :2] = 0
        dropped = client("loss_step", tensors | ones | {name: changed}, model=model, loss=PLAIN, columns=3)
        column = int(name[len("column")])
        rows = np.abs(dropped.tensors[f"column{column}.embeddings"] - kept.tensors[f"column{column}.embeddings"])
        assert rows[1].max() > 1e-6, name
        rows[1] = 0
        assert rows.max() < 1e-12, name


def test_wrong_masks_are_refused(client: Client, model_folders: dict[str, Path]) -> None:
    model = client("load_model", folder=str(model_folders["bert"])).result["model"]
    tensors = column_tensors(client, model, PAIRS)
    masks = drawn_masks(client, model, tensors, keep=0.8)
    name = "column1.dropout.layer0.attention"

    def step(changed: dict[str, np.ndarray]) -> None:
        client("loss_step", tensors | changed, model=model, loss=PLAIN, columns=2)

    with pytest.raises(DropoutMismatch, match=r"column 1: missing masks: layer0\.attention;"):
        step({key: value for key, value in masks.items() if key != name})
    with pytest.raises(DropoutMismatch, match="unknown masks: layer9"):
        step(masks | {"column0.dropout.layer9": masks[name]})
    with pytest.raises(DropoutMismatch, match=r"the mask of layer0\.attention has shape"):
        step(masks | {name: masks[name][:, :, :-1]})
    with pytest.raises(InvalidParameters, match="expected uint8, 0 or 1"):
        step(masks | {name: masks[name] * 2})
    with pytest.raises(InvalidParameters, match="belongs to none of the 2 columns"):
        step(masks | {"column2.lengths": tensors["column1.lengths"]})


def test_sdpa_attention_hides_its_dropout_and_is_refused(client: Client, model_folders: dict[str, Path]) -> None:
    model = client("load_model", folder=str(model_folders["bert"]), attention="sdpa").result["model"]
    tensors = column_tensors(client, model, PAIRS)
    masks = drawn_masks(client, model, tensors, keep=0.8)
    with pytest.raises(DropoutMismatch, match=r"site layer0\.attention drops out a tensor of shape"):
        client("loss_step", tensors | masks, model=model, loss=PLAIN, columns=2)
    assert torch.nn.functional.dropout.__module__ == "torch.nn.functional"


@pytest.mark.parametrize("loss", [PLAIN, cached(3)], ids=["direct", "cached"])
def test_scale_reaches_parameter_gradients_only(
    client: Client, model_folders: dict[str, Path], loss: dict[str, Any]
) -> None:
    model = client("load_model", folder=str(model_folders["mpnet"]), dtype="float64").result["model"]
    tensors = column_tensors(client, model, TRIPLETS)
    whole = client("loss_step", tensors, model=model, loss=loss, columns=3)
    third = client("loss_step", tensors, model=model, loss=loss, columns=3, scale=1 / 3)
    assert third.result == whole.result
    for name, value in whole.tensors.items():
        factor = 1 / 3 if name.startswith("parameters.") else 1
        np.testing.assert_allclose(third.tensors[name], value * factor, rtol=1e-9, atol=1e-14, err_msg=name)


def test_parameter_gradients_agree_with_finite_differences(client: Client, model_folders: dict[str, Path]) -> None:
    model = client("load_model", folder=str(model_folders["roberta"]), dtype="float64").result["model"]
    tensors = column_tensors(client, model, TRIPLETS)
    name = "parameters.encoder.layer.1.attention.self.value.weight"

    def loss() -> float:
        return client("loss_step", tensors, model=model, loss=PLAIN, columns=3, outputs=[]).result["loss"]

    gradient = client("loss_step", tensors, model=model, loss=cached(2), columns=3).tensors[name]
    weight = client("parameters", model=model).tensors[name]
    direction = np.random.default_rng(2).standard_normal(weight.shape)
    difference = 0.0
    for sign in (1, -1):
        client("set_parameters", {name: weight + sign * 1e-5 * direction}, model=model)
        difference += sign * loss()
    assert difference / 2e-5 == pytest.approx(float((gradient * direction).sum()), rel=1e-6)


def test_bad_requests_are_explained(client: Client, model_folders: dict[str, Path]) -> None:
    model = client("load_model", folder=str(model_folders["bert"])).result["model"]
    tensors = column_tensors(client, model, PAIRS)
    with pytest.raises(InvalidParameters, match="loss class is 'TripletLoss'"):
        client("loss_step", tensors, model=model, loss={"class": "TripletLoss"}, columns=2)
    options = {"similarity_fct": "euclidean"}
    with pytest.raises(InvalidParameters, match="similarity_fct is 'euclidean'"):
        client("loss_step", tensors, model=model, loss={**PLAIN, "options": options}, columns=2)
    with pytest.raises(InvalidParameters, match="unexpected keyword argument 'scael'"):
        client("loss_step", tensors, model=model, loss={**PLAIN, "options": {"scael": 1}}, columns=2)
    with pytest.raises(InvalidParameters, match="column 1 needs the tensors"):
        client("loss_step", {k: v for k, v in tensors.items() if "column0" in k}, model=model, loss=PLAIN, columns=2)
    with pytest.raises(InvalidParameters, match="outputs has scores"):
        client("loss_step", tensors, model=model, loss=PLAIN, columns=2, outputs=["scores"])
    broken = tensors | {"column1.input_ids": tensors["column1.input_ids"][1:]}
    with pytest.raises(InvalidParameters, match="lengths sum to"):
        client("loss_step", broken, model=model, loss=PLAIN, columns=2)
