"""Lockstep with every kind of loss: scores and labels that make the loss, banks, and classes of the user's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TEXTS, Client
from lockstep_client import MNRL, OpenLockstep, stage, texts

from gradbank_ref.contaccum import DIRECTIONS, Bank, ContAccumLoss, FrozenBankLoss, parse_options
from gradbank_ref.errors import DropoutMismatch, InvalidParameters
from gradbank_ref.tokens import Features, padded_features

ALL = list(DIRECTIONS)
BOTH = ["doc_to_query", "query_to_doc"]
PR = {"use_cont_accum": True, "cache_size": 2, "mini_batch_size": 3}


def cached(**options: Any) -> dict[str, Any]:
    return {"class": "CachedMultipleNegativesRankingLoss", "options": {"mini_batch_size": 3, **options}}


def contaccum(**options: Any) -> dict[str, Any]:
    return {"class": "ContAccum", "options": {"capacity": 5, **options}}


LOSSES = [
    MNRL,
    {**MNRL, "options": {"directions": ALL, "hardness_mode": "all_negatives", "hardness_strength": 3.0}},
    {**MNRL, "options": {"directions": BOTH, "partition_mode": "per_direction", "similarity_fct": "dot_score"}},
    cached(),
    cached(directions=ALL[::-1]),
    cached(directions=BOTH, partition_mode="per_direction"),
    cached(partition_mode="per_direction"),
    {"class": "PullRequest3612", "options": {**PR, "prev_cache": True}},
    {"class": "PullRequest3612", "options": {"mini_batch_size": 2}},
    contaccum(directions=ALL[::-1]),
    contaccum(directions=BOTH, partition_mode="per_direction", cache_queries=False),
]


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_scores_and_labels_make_the_loss(client: Client, model_folders: dict[str, Path], loss: dict[str, Any]) -> None:
    lockstep = OpenLockstep(client, model_folders["bert"], loss)
    options = loss.get("options", {})
    separate = options.get("partition_mode") == "per_direction"
    names = [f".{name}" for name in ALL if name in options.get("directions", ["query_to_doc"])] if separate else [""]
    banked = loss["class"] == "ContAccum" or options.get("use_cont_accum", False)
    for shift in range(2):
        group = [texts(4, 3, shift), texts(4, 3, shift + 3)]
        found = lockstep.step(group)
        for batch in range(2):
            scores = [found["scores", f"batch{batch}{name}"].value for name in names]
            labels = found["labels", f"batch{batch}"].value
            partition = np.mean([np.log(np.exp(matrix).sum(axis=1)) for matrix in scores], axis=0)
            first = scores[0]
            positives = first[np.arange(len(first)), labels.astype(int)]
            value = found["loss", f"batch{batch}"].value
            assert np.mean(partition - positives) == pytest.approx(float(value), rel=1e-10)
            assert found["labels", f"batch{batch}"].facts["noise"] is None
            for entry in stage(found, "scores").values():
                assert entry.facts["non_finite"] == 0
                assert 0 < entry.noise < 1e-3
                counted = entry.value[~np.isneginf(entry.value)]
                assert entry.facts["norm"] == pytest.approx(np.linalg.norm(counted), rel=1e-12)
            cached = banked and (shift, batch) != (0, 0)
            assert (first.shape[1] > 12 if "doc_to_query" not in options.get("directions", []) else True) or not cached
            assert (len(labels) > 4) == (cached and options.get("cache_queries", True))
        assert len(stage(found, "scores")) == 2 * len(names)
        assert ("scores_unavailable" in lockstep.result) is False
        lockstep.update(1e-3)


def test_masks_are_minus_infinity_and_count_as_nothing(client: Client, model_folders: dict[str, Path]) -> None:
    """Texts repeat from batch to batch, so that the bank holds some of the second batch's."""
    loss = contaccum(directions=ALL)
    whole = OpenLockstep(client, model_folders["bert"], loss)
    sketched = OpenLockstep(client, model_folders["bert"], loss, whole=8)
    group = [texts(4, 2), texts(4, 2, 2)]
    found, short = whole.step(group), sketched.step(group)
    matrix = found["scores", "batch1"].value
    masked = np.isneginf(matrix)
    # Each of the 8 rows has itself out of both same-kind directions; duplicates come on top.
    assert masked.sum() > 2 * 8
    sketch = short["scores", "batch1"]
    assert (sketch.facts["sent"], sketch.facts["non_finite"]) == ("sketch", 0)
    assert np.isfinite(sketch.value).all()
    assert 0 < sketch.facts["sketch_noise"]["max"] < 1e-2


class Replica:
    """ContAccum's bank by hand: rows one after another, read, pushed and emptied as the options say."""

    def __init__(self, model: Any, options: dict[str, Any]) -> None:
        self.model = model
        self.options = options
        ranking = {"cache_queries", "row_weighting", "similarity_fct", "scale", "directions"}
        self.ranking = parse_options({name: value for name, value in options.items() if name in ranking})
        self.bank: list[tuple[list[torch.Tensor], list[str]]] = []
        self.staged: list[tuple[list[torch.Tensor], list[str]]] = []
        self.updates = 0

    def loss(self, features: list[Features], columns: list[list[str]]) -> float:
        numbers = {text: number for number, text in enumerate(TEXTS)}
        readable = self.bank and self.updates >= self.options.get("warmup_steps", 0)
        if readable:
            cached = [torch.stack(list(column)) for column in zip(*(rows for rows, _ in self.bank), strict=True)]
            names = [
                torch.tensor([numbers[text] for text in column])
                for column in zip(*(own for _, own in self.bank), strict=True)
            ]
            batch = [torch.tensor([numbers[text] for text in column]) for column in columns]
            bank = Bank(cached, names, batch) if self.options.get("mask_duplicates", True) else Bank(cached)
            value = FrozenBankLoss(self.model, bank, self.ranking)([dict(own) for own in features], None)
        else:
            plain = {"scale": self.ranking.scale, "directions": self.ranking.directions}
            reference = FrozenBankLoss(self.model, None, parse_options({**plain, "similarity_fct": self.similarity}))
            value = reference([dict(own) for own in features], None)
        with torch.no_grad():
            embeddings = [self.model(dict(own))["sentence_embedding"] for own in features]
        if self.similarity == "cos_sim":
            embeddings = [rows / rows.norm(dim=1, keepdim=True) for rows in embeddings]
        for row in range(len(columns[0])):
            sample = [rows[row] for rows in embeddings], [column[row] for column in columns]
            (self.staged if self.options.get("push_at") == "optimizerStep" else self.bank).append(sample)
        self.trim()
        return float(value.detach())

    @property
    def similarity(self) -> str:
        return self.ranking.similarity_fct

    def trim(self) -> None:
        del self.bank[: -self.options["capacity"]]

    def update(self) -> None:
        self.updates += 1
        self.bank += self.staged
        self.staged = []
        self.trim()
        if self.options.get("reset_at_optimizer_step"):
            self.bank = []


@pytest.mark.parametrize(
    "options",
    [
        {"capacity": 5},
        {"capacity": 100},
        {"capacity": 2},
        {"capacity": 7, "reset_at_optimizer_step": True},
        {"capacity": 7, "push_at": "optimizerStep"},
        {"capacity": 7, "push_at": "optimizerStep", "reset_at_optimizer_step": True},
        {"capacity": 7, "warmup_steps": 2},
        {"capacity": 7, "mask_duplicates": False},
        {"capacity": 7, "cache_queries": False, "row_weighting": "current"},
        {"capacity": 7, "similarity_fct": "dot_score", "scale": 1.0, "directions": ALL},
    ],
    ids=str,
)
def test_contaccum_is_the_formula_with_a_bank_fed_by_hand(
    client: Client, model_folders: dict[str, Path], options: dict[str, Any]
) -> None:
    handle = client("load_model", folder=str(model_folders["bert"]), dtype="float64").result["model"]
    model = client.session.model(handle)
    loss, by_hand = ContAccumLoss(model, **options), Replica(model, options)
    alone, values = [], []
    for update in range(4):
        for batch in range(2):
            columns = texts(3 if batch else 4, 2, 3 * update + 2 * batch)
            tokens = [client("tokenize", model=handle, texts=column).tensors for column in columns]
            features = [padded_features(model, own["input_ids"], own["lengths"]) for own in tokens]
            with torch.no_grad():
                alone.append(float(FrozenBankLoss(model, None, by_hand.ranking)([dict(own) for own in features], None)))
            expected = by_hand.loss(features, columns)
            values.append(float(loss([dict(column) for column in features]).detach()))
            assert values[-1] == pytest.approx(expected, rel=1e-12)
            held = [torch.stack(list(column)) for column in zip(*(rows for rows, _ in by_hand.bank), strict=True)]
            for own, column in zip(loss.bank_columns(), held or [torch.zeros(0, 32)] * 2, strict=True):
                torch.testing.assert_close(own, column.to(own.dtype), rtol=1e-12, atol=1e-14)
        loss.on_optimizer_step()
        by_hand.update()
        assert len(loss.bank_columns()[0]) == len(by_hand.bank)
    never = options.get("push_at") == "optimizerStep" and options.get("reset_at_optimizer_step", False)
    assert (values == pytest.approx(alone)) == never
    waits = options.get("warmup_steps", 0)
    assert values[: 2 * waits] == pytest.approx(alone[: 2 * waits])


def test_masking_duplicates_changes_the_loss(client: Client, model_folders: dict[str, Path]) -> None:
    """The test above would not notice a mask that never masks."""
    group = [texts(4, 2), texts(4, 2, 2)]
    losses = [
        OpenLockstep(client, model_folders["bert"], contaccum(mask_duplicates=mask)).step(group)["loss", "batch1"].value
        for mask in (True, False)
    ]
    assert abs(losses[0] - losses[1]) > 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"capacity": 0}, "capacity is 0; expected an integer >= 1"),
        ({"capacity": 2, "warmup_steps": -1}, "warmup_steps is -1"),
        ({"capacity": 2, "push_at": "never"}, "push_at is 'never'"),
        ({"capacity": 2, "mini_batch_size": 3}, "unexpected keyword argument 'mini_batch_size'"),
        ({}, "missing a required argument: 'capacity'"),
    ],
)
def test_contaccum_refuses_impossible_options(
    client: Client, model_folders: dict[str, Path], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidParameters, match=message):
        OpenLockstep(client, model_folders["bert"], {"class": "ContAccum", "options": options})


@pytest.mark.parametrize("similarity", ["cos_sim", "dot_score"])
@pytest.mark.parametrize("prev_cache", [True, False])
def test_the_pull_requests_bank(
    client: Client, model_folders: dict[str, Path], prev_cache: bool, similarity: str
) -> None:
    options = {**PR, "prev_cache": prev_cache, "similarity_fct": similarity, "scale": 1.0}
    lockstep = OpenLockstep(client, model_folders["bert"], {"class": "PullRequest3612", "options": options})
    kept: list[list[np.ndarray]] = []
    for shift in range(2):
        found = lockstep.step([texts(4, 2, shift), texts(2, 2, shift + 1), texts(3, 2, shift + 2)])
        for batch in range(3):
            columns = [found["embeddings", f"batch{batch}.column{column}"].value for column in range(2)]
            if similarity == "cos_sim":
                columns = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in columns]
            kept = [*kept, columns][-2:]
            for column in range(2):
                bank = found["bank", f"batch{batch}.column{column}"]
                expected = np.concatenate([own[column] for own in kept])
                # Rows of the step before are those of the float32 side.
                np.testing.assert_allclose(bank.value, expected, atol=5e-6)
                assert 0 < bank.noise < 1e-5
        updated = lockstep.update(1e-3)
        if not prev_cache:
            kept = []
        rows = 5 if prev_cache else 0
        for column in range(2):
            assert updated["bank", f"column{column}"].facts["shape"] == [rows, 32]
        state = lockstep("state")
        assert state.result["bank"] is True
        assert state.tensors["bank.1"].shape == (rows, 32)


def test_losses_without_a_bank_report_none(client: Client, model_folders: dict[str, Path]) -> None:
    for loss in (MNRL, {"class": "PullRequest3612", "options": {"mini_batch_size": 2}}):
        lockstep = OpenLockstep(client, model_folders["bert"], loss)
        found = lockstep.step([texts(4, 2)]) | lockstep.update(1e-3)
        assert not stage(found, "bank")
        assert lockstep("state").result["bank"] is False


USER_FILE = '''
import torch
from torch import nn
from beside import double


class Mine(nn.Module):
    def __init__(self, model, temperature=0.05):
        super().__init__()
        self.model = model
        self.temperature = temperature

    def forward(self, sentence_features, labels):
        columns = [nn.functional.normalize(self.model(own)["sentence_embedding"]) for own in sentence_features]
        scores = columns[0] @ columns[1].T / self.temperature
        return nn.CrossEntropyLoss()(scores, torch.arange(len(scores)))


class Twice(Mine):
    """Embeds each column twice, the second time with other weights."""

    def forward(self, sentence_features, labels):
        features = list(sentence_features)
        first = super().forward(features, labels)
        bias = self.model[0].model.embeddings.LayerNorm.bias.data
        bias.add_(0.5)
        second = super().forward(features, labels)
        bias.sub_(0.5)
        return double(first + second) / 4


class Distance(nn.Module):
    """No softmax of a matrix at all."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, sentence_features, labels):
        left, right = [self.model(own)["sentence_embedding"] for own in sentence_features]
        return (left - right).square().mean()


class Single(Mine):
    """Works in float32 only."""

    def forward(self, sentence_features, labels):
        left, right = [self.model(own)["sentence_embedding"] for own in sentence_features]
        return (left @ torch.eye(left.shape[1])).square().mean() - right.mean()


class Queue(Mine):
    """Remembers rows where no one looks: in a list, a buffer and a counter."""

    def __init__(self, model):
        super().__init__(model)
        self.rows = []
        self.register_buffer("mean", torch.zeros(32))
        self.count = 0

    def forward(self, sentence_features, labels):
        columns = [nn.functional.normalize(self.model(own)["sentence_embedding"]) for own in sentence_features]
        candidates = torch.cat([columns[1], *self.rows])
        self.rows = [columns[1].detach(), *self.rows][:2]
        self.mean += columns[0].detach().mean(dim=0)
        self.count += 1
        scores = 20 * (columns[0] + self.mean / self.count) @ candidates.T
        return (scores.logsumexp(dim=1) - scores.diagonal()).mean()

    def bank_columns(self):
        return [torch.cat(self.rows)]


class Uneven(Mine):
    """Its bank depends on the precision."""

    def bank_columns(self):
        double = self.model[0].model.embeddings.LayerNorm.bias.dtype == torch.float64
        return [torch.ones(2 if double else 3, 4)]


class Halves(Mine):
    """Softmaxes that do not fit together."""

    def forward(self, sentence_features, labels):
        left, right = [self.model(own)["sentence_embedding"] for own in sentence_features]
        scores = left @ right.T
        return (torch.logsumexp(scores, 1) - torch.logsumexp(scores[:, 1:], 1)).mean()


class Trains(Mine):
    def __init__(self, model):
        super().__init__(model)
        self.weight = nn.Parameter(torch.zeros(3))


class Vector(Mine):
    def forward(self, sentence_features, labels):
        return next(self.model(own)["sentence_embedding"].mean(dim=1) for own in sentence_features)


class Constant(Mine):
    def forward(self, sentence_features, labels):
        return torch.tensor(1.0)


class Strips(Mine):
    def forward(self, sentence_features, labels):
        return self.model({"input_ids": sentence_features[0]["input_ids"]})["sentence_embedding"].mean()


def function():
    pass
'''


@pytest.fixture
def user_file(tmp_path: Path) -> str:
    (tmp_path / "beside.py").write_text("def double(value):\n    return 2 * value\n")
    file = tmp_path / "losses.py"
    file.write_text(USER_FILE)
    return str(file)


def test_a_class_of_the_users_is_held_to_every_stage(
    client: Client, model_folders: dict[str, Path], user_file: str
) -> None:
    folder = model_folders["mpnet"]
    loss = {"file": user_file, "class": "Mine", "options": {"temperature": 0.1}}
    mine = OpenLockstep(client, folder, loss, dropout=True)
    known = OpenLockstep(client, folder, {**MNRL, "options": {"scale": 10.0}}, dropout=True)
    assert mine.opened["facts"]["loss"] == "Mine"
    assert not [name for name in mine.opened["facts"] if name.startswith("loss.")]
    group = [texts(4, 2), texts(3, 2, 2)]
    found, expected = mine.step(group, keep=0.8), known.step(group, keep=0.8)
    assert set(found) == set(expected)
    for key, entry in expected.items():
        np.testing.assert_allclose(found[key].value, entry.value, rtol=1e-9, atol=1e-12, err_msg=str(key))
    updated, expected = mine.update(1e-3), known.update(1e-3)
    assert set(updated) == set(expected)
    assert updated["clip-norm", "norm"].value == pytest.approx(expected["clip-norm", "norm"].value, rel=1e-6)


def test_a_subclass_of_the_users_takes_the_similarity_by_name(
    client: Client, model_folders: dict[str, Path], tmp_path: Path
) -> None:
    file = tmp_path / "own.py"
    file.write_text(
        "from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss\n"
        "class Own(MultipleNegativesRankingLoss):\n    pass\n"
    )
    options = {"similarity_fct": "dot_score", "scale": 0.5, "directions": BOTH, "partition_mode": "per_direction"}
    own = OpenLockstep(client, model_folders["bert"], {"file": str(file), "class": "Own", "options": options})
    known = OpenLockstep(client, model_folders["bert"], {**MNRL, "options": options})
    group = [texts(4, 2)]
    found, expected = own.step(group), known.step(group)
    assert own.opened["facts"]["loss.similarity_fct"] == "dot_score"
    assert set(found) == set(expected)
    assert found["loss", "batch0"].value == expected["loss", "batch0"].value


def test_a_pass_that_does_not_repeat_the_first_is_told(
    client: Client, model_folders: dict[str, Path], user_file: str
) -> None:
    found = OpenLockstep(client, model_folders["bert"], {"file": user_file, "class": "Twice"}).step([texts(4, 2)])
    replayed = stage(found, "replayed-embeddings")
    assert [entry.facts["replay_equal"] for entry in replayed.values()] == [False, False]
    first = found["embeddings", "batch0.column0"].value
    assert np.abs(replayed["batch0.column0"].value - first).max() > 0.01


def test_losses_without_a_softmax_have_no_scores(
    client: Client, model_folders: dict[str, Path], user_file: str
) -> None:
    lockstep = OpenLockstep(client, model_folders["bert"], {"file": user_file, "class": "Distance"})
    found = lockstep.step([texts(4, 2)])
    assert not stage(found, "scores") | stage(found, "labels")
    left, right = (found["embeddings", f"batch0.column{column}"].value for column in range(2))
    assert float(found["loss", "batch0"].value) == pytest.approx(np.square(left - right).mean(), rel=1e-12)
    gradient = found["embedding-gradients", "batch0.column0"].value
    np.testing.assert_allclose(gradient, 2 * (left - right) / left.size, rtol=1e-10)
    assert "scores_unavailable" not in lockstep.result
    odd = OpenLockstep(client, model_folders["bert"], {"file": user_file, "class": "Halves"})
    assert not stage(odd.step([texts(4, 2)]), "scores")
    assert (
        odd.result["scores_unavailable"] == "batch0: softmaxes of matrices with [3, 4] columns cannot be put together"
    )


def test_a_loss_that_needs_float32_is_compared_without_noise(
    client: Client, model_folders: dict[str, Path], user_file: str
) -> None:
    lockstep = OpenLockstep(client, model_folders["bert"], {"file": user_file, "class": "Single"})
    for _ in range(2):
        found = lockstep.step([texts(4, 2)]) | lockstep.update(1e-3)
        assert "in float64 the loss raises RuntimeError" in lockstep.result["noise_unavailable"]
        assert all(entry.facts["noise"] is None for entry in found.values())
        assert found["loss", "batch0"].value.dtype == np.float32
        assert len(stage(found, "weights")) > 20


def test_a_tensor_of_another_shape_in_float64_is_compared_without_noise(
    client: Client, model_folders: dict[str, Path], user_file: str
) -> None:
    lockstep = OpenLockstep(client, model_folders["bert"], {"file": user_file, "class": "Uneven"})
    found = lockstep.step([texts(4, 2)])
    bank = found["bank", "batch0.column0"]
    assert (bank.facts["shape"], bank.facts["noise"]) == ([3, 4], None)
    assert found["loss", "batch0"].facts["noise"] is not None
    expected = "bank batch0.column0 has shape [3, 4] in float32 and [2, 4] in float64"
    assert lockstep.result["noise_unavailable"] == expected


def test_what_a_loss_remembers_is_taken_over_by_the_float64_side(
    client: Client, model_folders: dict[str, Path], user_file: str
) -> None:
    loss = {"file": user_file, "class": "Queue"}
    forced = OpenLockstep(client, model_folders["bert"], loss)
    free = OpenLockstep(client, model_folders["bert"], loss, mode="free-running")
    noises = []
    for lockstep in (forced, free):
        double = client.session.lockstep(lockstep.handle).lockstep.double.loss
        for shift in range(3):
            found = lockstep.step([texts(4, 2, shift), texts(4, 2, shift + 3)])
            assert found["bank", "batch1.column0"].facts["shape"] == [8, 32]
            lockstep.update(1e-3)
        double.rows = [-rows for rows in double.rows]
        double.mean += 3
        double.count = 50
        noises.append(lockstep.step([texts(4, 2)])["loss", "batch0"].noise)
    assert noises[0] < 1e-5
    assert noises[1] > 1e-2
    single, double = (side.loss for side in client.session.lockstep(forced.handle).lockstep._sides())
    assert (single.count, double.count) == (7, 7)
    assert (single.mean.dtype, double.mean.dtype) == (torch.float32, torch.float64)
    assert [rows.dtype for rows in double.rows] == [torch.float64] * 2


def test_classes_that_cannot_be_used_are_explained(
    client: Client, model_folders: dict[str, Path], user_file: str, tmp_path: Path
) -> None:
    folder = model_folders["bert"]

    def refused(message: str, **loss: Any) -> None:
        with pytest.raises(InvalidParameters, match=message):
            OpenLockstep(client, folder, loss).step([texts(4, 2)])

    refused("loss class is 'Nothing'; expected one of .*ContAccum, or a class in a Python file", **{"class": "Nothing"})
    refused("loss has kind; expected class", **{"class": "ContAccum", "kind": 1})
    refused("'missing.py' does not exist", **{"file": "missing.py", "class": "Mine"})
    refused("has no class 'mine'; its loss classes: Constant, Distance, ", **{"file": user_file, "class": "mine"})
    refused("no torch.nn.Module under the name 'function'", **{"file": user_file, "class": "function"})
    refused(
        "cannot be built with the options {'scael': 1}: got an unexpected keyword argument 'scael'",
        **{"file": user_file, "class": "Mine", "options": {"scael": 1}},
    )
    refused("trains parameters besides the transformer's: weight", **{"file": user_file, "class": "Trains"})
    refused(
        r"Vector's forward returned a tensor of shape \[4\]; expected a scalar",
        **{"file": user_file, "class": "Vector"},
    )
    refused("does not depend on the model's weights", **{"file": user_file, "class": "Constant"})
    refused("must hand all features that it was given", **{"file": user_file, "class": "Strips"})
    broken = tmp_path / "broken.py"
    broken.write_text("import torch\nraise ValueError('no data')\n")
    refused("cannot be run: ValueError: no data", **{"file": str(broken), "class": "Mine"})
    wrong = tmp_path / "notes.txt"
    wrong.write_text("x = 1\n")
    refused("is no Python file", **{"file": str(wrong), "class": "Mine"})


def test_an_error_leaves_nothing_behind(client: Client, model_folders: dict[str, Path], user_file: str) -> None:
    functions = torch.logsumexp, torch.Tensor.logsumexp, torch.nn.functional.cross_entropy, torch.nn.functional.dropout
    lockstep = OpenLockstep(client, model_folders["bert"], cached(), dropout=True)
    group = [texts(4, 2)]
    expected = lockstep.step(group, keep=0.8)
    tensors = lockstep.tensors(group, keep=0.8)
    with pytest.raises(DropoutMismatch):
        lockstep.send({name: value for name, value in tensors.items() if "layer1.output" not in name}, 1, 2)
    assert functions == (
        torch.logsumexp,
        torch.Tensor.logsumexp,
        torch.nn.functional.cross_entropy,
        torch.nn.functional.dropout,
    )
    with pytest.raises(InvalidParameters, match="call lockstep_step first"):
        lockstep.update(0.1)
    found = lockstep.send(tensors, 1, 2)
    for key, entry in expected.items():
        np.testing.assert_array_equal(found[key].value, entry.value, err_msg=str(key))
