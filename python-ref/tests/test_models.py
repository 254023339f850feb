import json
from pathlib import Path

import numpy as np
import pytest
from conftest import TEXTS, Client
from safetensors.numpy import load_file
from sentence_transformers import SentenceTransformer

from gradbank_ref.errors import InvalidParameters, UnknownHandle
from gradbank_ref.random_models import ARCHITECTURES


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_random_models_are_real_folders(client: Client, model_folders: dict[str, Path], architecture: str) -> None:
    folder = model_folders[architecture]
    loaded = client("load_model", folder=str(folder)).result
    weights = load_file(folder / "model.safetensors")
    assert loaded["parameters"] == {name: list(weights[name].shape) for name in loaded["parameters"]}
    assert set(loaded["parameters"]) == set(weights)
    assert loaded["architecture"] == architecture
    assert loaded["dimension"] == 32
    assert all(np.unique(value).size > 1 for value in weights.values()), "a parameter is constant"

    own = client("encode", model=loaded["model"], texts=TEXTS).tensors["embeddings"]
    np.testing.assert_allclose(SentenceTransformer(str(folder), device="cpu").encode(TEXTS), own, atol=1e-5)
    unit = own / np.linalg.norm(own, axis=1, keepdims=True)
    cosines = (unit @ unit.T)[np.triu_indices(len(TEXTS), 1)]
    assert cosines.max() < 0.999
    assert cosines.std() > 0.005

    tokens = client("tokenize", model=loaded["model"], texts=TEXTS).tensors
    assert tokens["lengths"].sum() == len(tokens["input_ids"])
    assert len(set(tokens["lengths"].tolist())) > 3
    by_tokens = client("encode", tokens, model=loaded["model"], batch_size=3).tensors["embeddings"]
    np.testing.assert_allclose(by_tokens, own, atol=1e-5)


def test_tokenize_cuts_at_max_length_and_forgets_it(client: Client, model_folders: dict[str, Path]) -> None:
    model = client("load_model", folder=str(model_folders["bert"])).result["model"]
    whole = client("tokenize", model=model, texts=TEXTS).tensors["lengths"]
    assert client("tokenize", model=model, texts=TEXTS, max_length=5).tensors["lengths"].max() == 5
    np.testing.assert_array_equal(client("tokenize", model=model, texts=TEXTS).tensors["lengths"], whole)


def test_make_model_skips_what_is_there_and_replaces_what_differs(client: Client, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    parameters = {"architecture": "bert", "folder": str(folder), "texts": TEXTS, "layers": 1}
    assert client("make_model", **parameters).result["created"] is True
    first = load_file(folder / "model.safetensors")
    assert client("make_model", **parameters).result["created"] is False
    assert client("make_model", **parameters, seed=1).result["created"] is True
    second = load_file(folder / "model.safetensors")
    assert not np.array_equal(first["pooler.dense.weight"], second["pooler.dense.weight"])
    assert client("make_model", **parameters).result["created"] is True
    again = load_file(folder / "model.safetensors")
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small", "small.lock", "small.stamp.json"]


def test_make_model_leaves_foreign_folders_alone(client: Client, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(InvalidParameters, match="was not made by make_model"):
        client("make_model", architecture="bert", folder=str(tmp_path / "mine"), texts=TEXTS)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep"


def test_bare_models_have_no_sentence_transformers_files(client: Client, tmp_path: Path) -> None:
    folder = tmp_path / "bare"
    client("make_model", architecture="mpnet", folder=str(folder), texts=TEXTS, layers=1, bare=True)
    assert not (folder / "modules.json").exists()
    assert json.loads((folder / "config.json").read_text())["model_type"] == "mpnet"
    model = client("load_model", folder=str(folder)).result["model"]
    assert client("encode", model=model, texts=TEXTS).tensors["embeddings"].shape == (len(TEXTS), 32)


@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "weightedmean", "lasttoken"])
def test_pooling_and_normalize_are_kept(client: Client, tmp_path: Path, pooling: str) -> None:
    folder = tmp_path / pooling
    client(
        "make_model", architecture="roberta", folder=str(folder), texts=TEXTS, layers=1, pooling=pooling, normalize=True
    )
    assert json.loads((folder / "1_Pooling" / "config.json").read_text())["pooling_mode"] == pooling
    model = client("load_model", folder=str(folder), dtype="float64").result["model"]
    embeddings = client("encode", client("tokenize", model=model, texts=TEXTS).tensors, model=model).tensors[
        "embeddings"
    ]
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-12)


def test_weights_can_be_set(client: Client, model_folders: dict[str, Path]) -> None:
    model = client("load_model", folder=str(model_folders["distilbert"])).result["model"]
    name = "parameters.transformer.layer.0.ffn.lin1.bias"
    before = client("parameters", model=model).tensors
    client("set_parameters", {name: before[name] + 1}, model=model)
    after = client("parameters", model=model).tensors
    np.testing.assert_array_equal(after[name], before[name] + 1)
    assert all(np.array_equal(after[key], before[key]) for key in before if key != name)
    with pytest.raises(InvalidParameters, match="names no parameter"):
        client("set_parameters", {"parameters.nothing": before[name]}, model=model)
    with pytest.raises(InvalidParameters, match=r"has shape \[1\]; expected \[64\]"):
        client("set_parameters", {name: before[name][:1]}, model=model)


def test_handles_end_with_release(client: Client, model_folders: dict[str, Path]) -> None:
    model = client("load_model", folder=str(model_folders["bert"])).result["model"]
    client("release", model=model)
    with pytest.raises(UnknownHandle, match="loaded: none"):
        client("encode", model=model, texts=["a"])


def test_the_real_minilm_is_there(client: Client) -> None:
    folder = client("minilm_folder").result["folder"]
    loaded = client("load_model", folder=folder).result
    assert loaded["dimension"] == 384
    assert set(loaded["parameters"]) <= set(load_file(Path(folder) / "model.safetensors"))
    texts = ["A man is eating food.", "A man is eating a meal.", "The sky is blue."]
    embeddings = client("encode", model=loaded["model"], texts=texts).tensors["embeddings"]
    cosines = embeddings @ embeddings.T
    assert cosines[0, 1] > 0.7 > 0.3 > cosines[0, 2]
