"""Lockstep against steps written by hand, against the real Trainer, and against itself in other precision."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TEXTS, Client
from lockstep_client import MNRL, OpenLockstep, stage, texts

from gradbank_ref.dropout import dropout_sites
from gradbank_ref.errors import InvalidParameters, UnknownHandle
from gradbank_ref.models import load, named_parameters
from gradbank_ref.tokens import padded_features

CACHED = {"class": "CachedMultipleNegativesRankingLoss", "options": {"mini_batch_size": 2}}
ARGUMENTS = {"weight_decay": 0.1, "max_grad_norm": 0.5, "adam_beta2": 0.99, "adam_epsilon": 1e-6}
GROUPS = [[texts(4, 2, shift), texts(3, 2, shift + 1)] for shift in (0, 3, 5)]


@contextmanager
def masks_in_order(masks: list[np.ndarray], rate: float) -> Iterator[None]:
    original = torch.nn.functional.dropout
    left = list(masks)

    def dropout(input: torch.Tensor, **_: Any) -> torch.Tensor:
        return input * torch.from_numpy(left.pop(0)).to(input.dtype) / (1 - rate)

    torch.nn.functional.dropout = lambda input, p=0.5, training=True, inplace=False: dropout(input)
    try:
        yield
    finally:
        torch.nn.functional.dropout = original
    assert not left


class HandWritten:
    """Two losses' batches, AdamW and clipping as formulas, in float64."""

    def __init__(self, folder: Path) -> None:
        self.model = load(str(folder), dtype="float64")
        self.parameters = named_parameters(self.model)
        self.moments = {name: (torch.zeros_like(p), torch.zeros_like(p)) for name, p in self.parameters.items()}
        self.updates = 0

    def embed(self, tensors: dict[str, np.ndarray], prefix: str) -> torch.Tensor:
        features = padded_features(self.model, tensors[f"{prefix}.input_ids"], tensors[f"{prefix}.lengths"])
        names = [f"{prefix}.dropout.{site.name}" for site in dropout_sites(self.model[0].config)]
        if names[0] not in tensors:
            return self.model.eval()(features)["sentence_embedding"]
        with masks_in_order([tensors[name] for name in names], rate=0.2):
            return self.model.train()(features)["sentence_embedding"]

    def step(self, tensors: dict[str, np.ndarray], batches: int) -> dict[tuple[str, str], torch.Tensor]:
        self.model.zero_grad()
        found = {}
        for batch in range(batches):
            columns = [self.embed(tensors, f"batch{batch}.column{column}") for column in range(2)]
            for column in columns:
                column.retain_grad()
            unit = [column / column.norm(dim=1, keepdim=True) for column in columns]
            scores = 20 * unit[0] @ unit[1].T
            loss = (scores.exp().sum(dim=1).log() - scores.diag()).mean()
            (loss / batches).backward()
            found["scores", f"batch{batch}"] = scores.detach()
            found["loss", f"batch{batch}"] = loss.detach()
            for number, column in enumerate(columns):
                found["embeddings", f"batch{batch}.column{number}"] = column.detach()
                found["embedding-gradients", f"batch{batch}.column{number}"] = column.grad * batches
        for name, parameter in self.parameters.items():
            if parameter.grad is not None:
                found["parameter-gradients", name] = parameter.grad.clone()
        return found

    def update(self, learning_rate: float) -> dict[tuple[str, str], torch.Tensor]:
        self.updates += 1
        gradients = {name: p.grad for name, p in self.parameters.items() if p.grad is not None}
        norm = sum(gradient.square().sum() for gradient in gradients.values()).sqrt()
        factor = min(1.0, 0.5 / (float(norm) + 1e-6))
        found: dict[tuple[str, str], torch.Tensor] = {("clip-norm", "norm"): norm}
        for name, gradient in gradients.items():
            first, second = self.moments[name]
            clipped = gradient * factor
            first.mul_(0.9).add_(clipped, alpha=0.1)
            second.mul_(0.99).add_(clipped.square(), alpha=0.01)
            weight = self.parameters[name].data
            if "bias" not in name and "LayerNorm" not in name:
                weight.mul_(1 - learning_rate * 0.1)
            unbiased = first / (1 - 0.9**self.updates), second / (1 - 0.99**self.updates)
            weight.sub_(learning_rate * unbiased[0] / (unbiased[1].sqrt() + 1e-6))
            found["moments", f"first.{name}"] = first.clone()
            found["moments", f"second.{name}"] = second.clone()
            found["weights", name] = weight.clone()
        return found


@pytest.mark.parametrize("keep", [None, 0.8], ids=["no dropout", "dropout"])
@pytest.mark.parametrize("loss", [MNRL, CACHED], ids=["direct", "cached"])
def test_it_is_the_step_written_by_hand(
    client: Client, model_folders: dict[str, Path], loss: dict[str, Any], keep: float | None
) -> None:
    folder = model_folders["bert"]
    lockstep = OpenLockstep(client, folder, loss, mode="free-running", arguments=ARGUMENTS, dropout=keep is not None)
    by_hand = HandWritten(folder)
    for number, group in enumerate(GROUPS):
        tensors = lockstep.tensors(group, keep=keep, seed=number)
        found = lockstep.send(tensors, 2, 2)
        expected = by_hand.step(tensors, 2)
        single = {name: value.copy() for name, value in lockstep("gradients").tensors.items()}
        found |= lockstep.update(0.01)
        expected |= by_hand.update(0.01)
        extra = {key for key in found if key[0] in ("labels", "replayed-embeddings")}
        assert set(found) - extra == set(expected)
        for key, value in expected.items():
            np.testing.assert_allclose(found[key].value, value.numpy(), rtol=1e-7, atol=1e-12, err_msg=str(key))
            assert found[key].facts["norm"] == pytest.approx(float(value.norm()), rel=1e-9)
            if key[0] == "parameter-gradients":
                noise = np.abs(single[f"gradients.{key[1]}"] - value.numpy())
                assert noise.max() == pytest.approx(found[key].noise, rel=1e-3, abs=1e-12)
        assert float(expected["clip-norm", "norm"]) > 0.5


@pytest.mark.parametrize("loss", [MNRL, CACHED], ids=["direct", "cached"])
@pytest.mark.parametrize("architecture", ["mpnet", "distilbert"])
def test_it_is_the_trainer_bit_by_bit(
    client: Client, model_folders: dict[str, Path], architecture: str, loss: dict[str, Any]
) -> None:
    folder = model_folders[architecture]
    batches = [list(map(list, zip(*batch, strict=True))) for group in GROUPS for batch in group]
    trained = client(
        "train",
        folder=str(folder),
        loss=loss,
        columns=["anchor", "positive"],
        batches=batches,
        arguments={
            "learning_rate": 0.01,
            "lr_scheduler_type": "constant",
            "gradient_accumulation_steps": 2,
            **ARGUMENTS,
        },
        every_step=True,
    )
    lockstep = OpenLockstep(client, folder, loss, arguments=ARGUMENTS)
    for number, group in enumerate(GROUPS):
        found = lockstep.step(group)
        losses = [found["loss", f"batch{batch}"].value for batch in range(2)]
        assert losses == pytest.approx(trained.result["batch_losses"][2 * number : 2 * number + 2], rel=1e-5)
        lockstep.update(0.01)
        state = lockstep("state")
        assert state.result == {"step": number + 1, "bank": False}
        weights = {name: value for name, value in state.tensors.items() if name.startswith("weights.")}
        assert len(weights) > 20
        for name, value in weights.items():
            expected = trained.tensors[f"steps.{number}.{name.removeprefix('weights.')}"]
            np.testing.assert_array_equal(value, expected, err_msg=name)


def test_teacher_forced_noise_is_the_rounding_of_one_step(client: Client, model_folders: dict[str, Path]) -> None:
    folder = model_folders["roberta"]
    forced = OpenLockstep(client, folder, MNRL)
    free = OpenLockstep(client, folder, MNRL, mode="free-running")
    drift = []
    for number in range(6):
        group = [texts(4, 2, number)]
        found = forced.step(group) | forced.update(3e-3)
        for key in ("embeddings", "scores", "embedding-gradients", "parameter-gradients", "moments", "weights"):
            own = stage(found, key)
            noises = {name: entry.noise for name, entry in own.items()}
            assert any(noise > 0 for noise in noises.values()), key
            for name, entry in own.items():
                scale = max(np.abs(other.value).max() for other in own.values())
                assert entry.noise < 2e-5 * scale, (number, key, name)
                assert entry.facts["noise"]["rms"] <= entry.noise
        drifted = free.step(group) | free.update(3e-3)
        drift.append([max(entry.noise for entry in stage(steps, "weights").values()) for steps in (found, drifted)])
    assert drift[0][1] > 3 * drift[0][0]
    assert drift[-1][1] > 20 * drift[-1][0]


def test_without_noise_the_values_are_float32(client: Client, model_folders: dict[str, Path]) -> None:
    folder = model_folders["bert"]
    plain = OpenLockstep(client, folder, CACHED, noise=False)
    measured = OpenLockstep(client, folder, CACHED)
    group = GROUPS[0]
    single = plain.step(group) | plain.update(1e-3)
    double = measured.step(group) | measured.update(1e-3)
    assert set(single) == set(double)
    for key, entry in single.items():
        assert entry.facts["noise"] is None
        if key[0] != "labels":
            assert (entry.value.dtype, double[key].value.dtype) == (np.float32, np.float64)
            distance = np.abs(entry.value - double[key].value).max()
            assert distance == pytest.approx(double[key].noise, rel=1e-6), key


@pytest.mark.parametrize("loss", [MNRL, CACHED], ids=["direct", "cached"])
def test_the_replay_repeats_the_first_pass(
    client: Client, model_folders: dict[str, Path], loss: dict[str, Any]
) -> None:
    lockstep = OpenLockstep(client, model_folders["bert"], loss, dropout=True)
    found = lockstep.step([texts(5, 3), texts(3, 3)], keep=0.8)
    replayed = stage(found, "replayed-embeddings")
    if loss is MNRL:
        assert not replayed
        return
    assert set(replayed) == {f"batch{batch}.column{column}" for batch in range(2) for column in range(3)}
    for name, entry in replayed.items():
        assert entry.facts["replay_equal"] is True
        assert entry.value.tobytes() == found["embeddings", name].value.tobytes()


def test_large_tensors_are_sketched_and_pulled(client: Client, model_folders: dict[str, Path]) -> None:
    lockstep = OpenLockstep(client, model_folders["bert"], MNRL, whole=1000)
    whole = OpenLockstep(client, model_folders["bert"], MNRL)
    group = [texts(4, 2)]
    for found, expected in ((lockstep.step(group), whole.step(group)), (lockstep.update(0.01), whole.update(0.01))):
        assert {entry.facts["sent"] for entry in found.values()} >= {"value"}
        for key, entry in found.items():
            value = expected[key].value
            assert entry.facts["sent"] == ("sketch" if value.size > 1000 else "value")
            for fact in ("shape", "norm", "noise", "non_finite"):
                assert entry.facts[fact] == expected[key].facts[fact]
            if value.size <= 1000:
                assert entry.facts["sketch_noise"] is None
                continue
            padded = np.zeros(-(-value.size // 256) * 256)
            padded[: value.size] = value.ravel()
            np.testing.assert_allclose(entry.value, padded.reshape(-1, 256) @ sketch_weights(), rtol=1e-9, atol=1e-12)
            noise = entry.facts["sketch_noise"]
            assert 0 < noise["rms"] <= noise["max"] < 200 * entry.noise
            pulled = lockstep("pull", stage=key[0], names=[key[1]])
            assert pulled.result["tensors"] == [{**entry.facts, "sent": "value", "sketch_noise": None}]
            np.testing.assert_array_equal(pulled.tensors["value.0"], value)
    assert sum(entry.facts["sent"] == "sketch" for entry in found.values()) > 10
    with pytest.raises(InvalidParameters, match=r"the last step has no weights pooler; it has embeddings\.word_emb"):
        lockstep("pull", stage="weights", names=["pooler"])
    lockstep.step(group)
    with pytest.raises(InvalidParameters, match=r"no weights .* none of that stage"):
        lockstep("pull", stage="weights", names=["embeddings.word_embeddings.weight"])


def sketch_weights() -> np.ndarray:
    numbers = np.arange(1, 257, dtype=np.uint64)
    sizes = (numbers * 2654435761 % 2**32).astype(np.float64) / 2**32 + 0.5
    odd = np.array([bin(int(number) * 2246822519 % 2**32).count("1") % 2 for number in numbers])
    return np.where(odd == 1, -sizes, sizes)


@pytest.mark.parametrize("keep", [None, 0.8], ids=["no dropout", "dropout"])
@pytest.mark.parametrize("architecture", ["bert", "distilbert"])
def test_activations_are_what_hooks_see(
    client: Client, model_folders: dict[str, Path], architecture: str, keep: float | None
) -> None:
    lockstep = OpenLockstep(client, model_folders[architecture], CACHED, dropout=keep is not None)
    tensors = lockstep.tensors([texts(5, 2), texts(4, 2, 3)], keep=keep)
    step = lockstep.send(tensors, 2, 2)
    reply = lockstep("activations", batch=1, column=1)
    found = {
        entry["module"]: (entry, np.array(reply.tensors[f"value.{index}"]))
        for index, entry in enumerate(reply.result["activations"])
    }

    by_hand = HandWritten(model_folders[architecture])
    seen = {}
    for name, module in by_hand.model[0].model.named_modules():
        module.register_forward_hook(lambda module, arguments, output, name=name: seen.__setitem__(name, output))
    pooled = by_hand.embed(tensors, "batch1.column1")
    lengths = tensors["batch1.column1.lengths"]
    assert len(set(lengths.tolist())) > 1

    layer = "transformer.layer" if architecture == "distilbert" else "encoder.layer"
    assert list(found)[:2] == ["embeddings.LayerNorm", "embeddings.dropout"]
    assert f"{layer}.1.{'ffn.lin2' if architecture == 'distilbert' else 'intermediate.dense'}" in found
    assert list(found)[-1] == "pooling"
    assert not any(name.startswith("pooler") for name in found)
    for name, (entry, value) in found.items():
        real = [row[:length] for row, length in zip(seen.get(name, ()), lengths, strict=False)]
        expected = pooled if name == "pooling" else torch.cat(real)
        np.testing.assert_allclose(value, expected.detach().numpy(), rtol=1e-9, atol=1e-12, err_msg=name)
        assert entry["shape"] == list(expected.shape)
        assert 0 < entry["noise"]["max"] < 1e-4
    np.testing.assert_allclose(found["pooling"][1], step["embeddings", "batch1.column1"].value, atol=1e-12)

    with pytest.raises(InvalidParameters, match="batch is 2; the last step had 2"):
        lockstep("activations", batch=2, column=0)
    with pytest.raises(InvalidParameters, match="column is 2; the last step had 2"):
        lockstep("activations", batch=0, column=2)
    lockstep.update(0.01)
    with pytest.raises(InvalidParameters, match="between lockstep_step and lockstep_update"):
        lockstep("activations", batch=0, column=0)


def test_facts_say_what_both_sides_must_share(client: Client, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    client("make_model", architecture="mpnet", folder=str(folder), texts=TEXTS, dropout=0.2, normalize=True)
    loss = {"class": "CachedMultipleNegativesRankingLoss", "options": {"directions": ["query_to_doc", "doc_to_query"]}}
    lockstep = OpenLockstep(client, folder, loss, arguments={"weight_decay": 0.1}, max_length=7, dropout=True)
    facts, environment = lockstep.opened["facts"], lockstep.opened["environment"]
    parameters = client("parameters", model=lockstep.model).tensors
    names = sorted(name.removeprefix("parameters.") for name in parameters)
    weights = b"".join(name.encode() + parameters[f"parameters.{name}"].tobytes() for name in names)
    decayed = [name for name in names if "bias" not in name and "LayerNorm" not in name]

    def sha(content: bytes) -> str:
        return hashlib.sha256(content).hexdigest()

    options = {name: value for name, value in facts.items() if name.startswith("loss.")}
    assert {name: value for name, value in facts.items() if name not in options} == {
        "weights": sha(weights),
        "parameters": sum(value.size for value in parameters.values()),
        "parameter_names": sha("\n".join(names).encode()),
        "decayed": sha("\n".join(decayed).encode()),
        "tokenizer": sha((folder / "tokenizer.json").read_bytes()),
        "vocabulary_size": parameters["parameters.embeddings.word_embeddings.weight"].shape[0],
        "max_sequence_length": 7,
        "dimension": 32,
        "pooling": "mean",
        "normalize": True,
        "hidden_dropout": 0.2,
        "attention_dropout": 0.2,
        "dropout": True,
        "dtype": "float32",
        "loss": "CachedMultipleNegativesRankingLoss",
        "adam_beta1": 0.9,
        "adam_beta2": 0.999,
        "adam_epsilon": 1e-8,
        "weight_decay": 0.1,
        "max_grad_norm": 1.0,
    }
    assert options["loss.scale"] == 20
    assert options["loss.similarity_fct"] == "cos_sim"
    assert options["loss.directions"] == ["query_to_doc", "doc_to_query"]
    assert options["loss.hardness_mode"] is None
    assert environment["torch"] == torch.__version__
    assert environment["threads"] == 1
    assert {"python", "sentence_transformers", "transformers", "tokenizers", "numpy", "gradbank_ref"} < set(environment)


def test_handles_end_with_the_comparison(client: Client, model_folders: dict[str, Path]) -> None:
    lockstep = OpenLockstep(client, model_folders["bert"], MNRL)
    assert client("tokenize", model=lockstep.model, texts=["red"]).tensors["lengths"].tolist() == [3]
    lockstep("close")
    with pytest.raises(UnknownHandle, match="lockstep handle 'lockstep-2' is not open; open: none"):
        lockstep("close")
    with pytest.raises(UnknownHandle):
        client("tokenize", model=lockstep.model, texts=["red"])


def test_changed_weights_are_the_beginning_of_both_sides(client: Client, model_folders: dict[str, Path]) -> None:
    """A client may set the weights of the float32 model before the first step."""
    lockstep = OpenLockstep(client, model_folders["bert"], MNRL, mode="free-running")
    name = "parameters.embeddings.LayerNorm.weight"
    weight = client("parameters", model=lockstep.model).tensors[name]
    client("set_parameters", {name: weight * 3}, model=lockstep.model)
    found = lockstep.step([texts(4, 2)])
    assert found["embeddings", "batch0.column0"].noise < 1e-5


def test_bad_requests_are_explained(client: Client, model_folders: dict[str, Path]) -> None:
    folder = model_folders["bert"]
    for params, message in (
        ({"mode": "forced"}, "mode is 'forced'; expected one of teacher-forced, free-running"),
        ({"arguments": {"beta1": 0.9}}, "arguments has beta1; expected some of adam_beta1"),
        ({"whole": -1}, "whole is -1"),
        ({"folder": "nowhere"}, "'nowhere' does not exist"),
    ):
        with pytest.raises(InvalidParameters, match=message):
            client("lockstep_open", **{"folder": str(folder), "loss": MNRL, "mode": "free-running", **params})
    lockstep = OpenLockstep(client, folder, MNRL)
    with pytest.raises(InvalidParameters, match="call lockstep_step first"):
        lockstep.update(0.1)
    with pytest.raises(InvalidParameters, match="call lockstep_step first"):
        lockstep("gradients")
    tensors = lockstep.tensors([texts(4, 2)])
    with pytest.raises(InvalidParameters, match="needs at least one batch"):
        lockstep.send({}, 0, 2)
    with pytest.raises(InvalidParameters, match=r"batch 0: column 1 needs the tensors"):
        lockstep.send({name: value for name, value in tensors.items() if "column0" in name}, 1, 2)
    with pytest.raises(InvalidParameters, match=r"batch1\.x belong to none of the 1 batches"):
        lockstep.send(tensors | {"batch1.x": np.zeros(1)}, 1, 2)
    with pytest.raises(InvalidParameters, match=r"batch 0: tensor 'column2\.lengths' belongs to none"):
        lockstep.send(tensors | {"batch0.column2.lengths": np.zeros(1)}, 1, 2)
    masked = lockstep.tensors([texts(4, 2)], keep=0.8)
    with pytest.raises(InvalidParameters, match=r"batch 0 has dropout masks, but .* dropout=False"):
        lockstep.send(masked, 1, 2)
    lockstep.send(tensors, 1, 2)
    lockstep.update(0.1)
    with pytest.raises(InvalidParameters, match="call lockstep_step first"):
        lockstep.update(0.1)
