"""The numpy operators against torch, in float64."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Client
from onnx import TensorProto, helper
from torch.nn import functional

from gradbank_ref.errors import InvalidParameters
from gradbank_ref.operators import OPERATORS

Torch = torch.Tensor
random = np.random.default_rng(11)


def floats(*shape: int) -> np.ndarray:
    return random.standard_normal(shape)


def positive(*shape: int) -> np.ndarray:
    return random.random(shape) + 0.1


def bits(*shape: int) -> np.ndarray:
    return random.random(shape) < 0.5


def indices(*shape: int) -> np.ndarray:
    return random.integers(0, 4, shape)


def torch_expand(x: Torch) -> Torch:
    return x.expand(2, 3, 4)


PACKING = [np.array([0, 1, 2]), np.array([0, 1, 2, 2]), np.array([[True], [True], [True], [False]])]

CASES: list[tuple[str, list[np.ndarray], dict[str, Any], Callable[..., Torch]]] = [
    ("add", [floats(2, 3), floats(3)], {}, torch.add),
    ("subtract", [floats(2, 3), floats(2, 1)], {}, torch.sub),
    ("multiply", [floats(2, 3), floats()], {}, torch.mul),
    ("divide", [floats(2, 3), positive(3)], {}, torch.div),
    ("maximum", [floats(2, 3), floats(3)], {}, torch.maximum),
    ("negate", [floats(2, 3)], {}, torch.neg),
    ("exp", [floats(2, 3)], {}, torch.exp),
    ("log", [positive(2, 3)], {}, torch.log),
    ("sqrt", [positive(2, 3)], {}, torch.sqrt),
    ("reciprocal", [positive(2, 3)], {}, torch.reciprocal),
    ("tanh", [floats(2, 3)], {}, torch.tanh),
    ("erf", [floats(2, 3)], {}, torch.erf),
    ("relu", [floats(2, 3)], {}, torch.relu),
    ("sigmoid", [floats(2, 3) * 300], {}, torch.sigmoid),
    ("silu", [floats(2, 3)], {}, functional.silu),
    ("gelu", [floats(2, 3)], {}, functional.gelu),
    ("geluTanh", [floats(2, 3)], {}, lambda x: functional.gelu(x, approximate="tanh")),
    ("equal", [indices(2, 5), indices(5)], {}, torch.eq),
    ("less", [floats(2, 3), floats(3)], {}, torch.lt),
    ("greater", [floats(2, 3), floats(3)], {}, torch.gt),
    ("and", [bits(2, 3), bits(3)], {}, torch.logical_and),
    ("not", [bits(2, 3)], {}, torch.logical_not),
    ("where", [bits(2, 3), floats(2, 3), floats(3)], {}, torch.where),
    ("cast", [floats(2, 3) * 5], {"to": "int64"}, lambda x: x.to(torch.int64)),
    ("cumulativeSum", [floats(2, 3)], {"axis": 1}, lambda x: x.cumsum(1)),
    ("cumulativeSum", [indices(2, 3)], {"axis": 0}, lambda x: x.cumsum(0)),
    ("matmul", [floats(2, 3, 4), floats(2, 4, 5)], {}, torch.matmul),
    (
        "matmul",
        [floats(2, 4, 3), floats(5, 4)],
        {"transposeA": True, "transposeB": True, "alpha": 0.25},
        lambda a, b: 0.25 * a.mT @ b.mT,
    ),
    ("linear", [floats(2, 3, 4), floats(5, 4), floats(5)], {}, functional.linear),
    ("linear", [floats(2, 4), floats(5, 4)], {}, functional.linear),
    ("reshape", [floats(2, 6)], {"shape": [3, 4]}, lambda x: x.reshape(3, 4)),
    ("transpose", [floats(2, 3, 4)], {"permutation": [2, 0, 1]}, lambda x: x.permute(2, 0, 1)),
    ("concat", [floats(2, 3), floats(2, 1), floats(2, 2)], {"axis": 1}, lambda *x: torch.cat(x, 1)),
    ("slice", [floats(2, 5)], {"axis": 1, "start": 1, "end": 4}, lambda x: x[:, 1:4]),
    ("pad", [floats(2, 3)], {"axis": 0, "before": 1, "after": 2}, lambda x: functional.pad(x, (0, 0, 1, 2))),
    ("expand", [floats(3, 1)], {"shape": [2, 3, 4]}, torch_expand),
    ("range", [], {"size": 4, "dataType": "int64"}, lambda: torch.arange(4)),
    ("stopGradient", [floats(2)], {}, lambda x: x),
    ("gather", [floats(4, 3), indices(2, 5)], {}, lambda table, index: functional.embedding(index, table)),
    (
        "scatterAdd",
        [indices(6), floats(6, 3)],
        {"rows": 5},
        lambda index, updates: torch.zeros(5, 3, dtype=updates.dtype).index_add(0, index, updates),
    ),
    (
        "scatterAdd",
        [indices(2, 3), floats(2, 3, 4)],
        {"rows": 4},
        lambda index, updates: torch.zeros(4, 4, dtype=updates.dtype).index_add(
            0, index.flatten(), updates.flatten(0, 1)
        ),
    ),
    # Two rows of two places; the second has one token.
    ("pack", [floats(4, 3), *PACKING], {}, lambda x, places, origins, filled: x[filled.flatten()]),
    (
        "unpack",
        [floats(3, 3), *PACKING],
        {},
        lambda x, places, origins, filled: torch.zeros(4, 3, dtype=x.dtype).masked_scatter(filled, x),
    ),
    ("reduceSum", [floats(2, 3, 4)], {"axes": [0, 2]}, lambda x: x.sum((0, 2))),
    ("reduceMean", [floats(2, 3, 4)], {"axes": [1], "keepDimensions": True}, lambda x: x.mean(1, keepdim=True)),
    ("reduceMax", [floats(2, 3, 4)], {"axes": [1, 2]}, lambda x: x.amax((1, 2))),
    ("logSumExp", [floats(2, 3) * 500], {"axes": [1]}, lambda x: x.logsumexp(1)),
    ("logSumExp", [floats(2, 3)], {"axes": [0], "keepDimensions": True}, lambda x: x.logsumexp(0, keepdim=True)),
    ("softmax", [floats(2, 3) * 500], {"axis": 0}, lambda x: x.softmax(0)),
    (
        "layerNormalization",
        [floats(2, 3, 4), floats(4), floats(4)],
        {"epsilon": 1e-5},
        lambda x, weight, bias: functional.layer_norm(x, (4,), weight, bias, 1e-5),
    ),
    (
        "dropout",
        [floats(2, 3), bits(2, 3).astype(np.uint8)],
        {"rate": 0.25},
        lambda x, mask: x * mask / 0.75,
    ),
]


@pytest.mark.parametrize(("operator", "inputs", "attributes", "expected"), CASES, ids=[case[0] for case in CASES])
def test_numpy_agrees_with_torch(
    client: Client, operator: str, inputs: list[np.ndarray], attributes: dict[str, Any], expected: Callable[..., Torch]
) -> None:
    tensors = {f"input{index}": value for index, value in enumerate(inputs)}
    output = client("evaluate_operator", tensors, operator=operator, attributes=attributes).tensors["output"]
    reference = expected(*[torch.from_numpy(np.asarray(value)) for value in inputs]).numpy()
    assert output.dtype == reference.dtype
    assert output.shape == reference.shape
    np.testing.assert_allclose(output, reference, rtol=1e-13, atol=1e-14)


def test_every_operator_is_tested() -> None:
    assert {case[0] for case in CASES} == set(OPERATORS)


def test_impossible_operators_are_explained(client: Client) -> None:
    with pytest.raises(InvalidParameters, match="operator 'conv' is not known"):
        client("evaluate_operator", operator="conv")
    with pytest.raises(InvalidParameters, match=r"operator matmul .* cannot take \(float64\[2, 3\], float64\[2, 3\]\)"):
        client("evaluate_operator", {"a": floats(2, 3), "b": floats(2, 3)}, operator="matmul")


def doubling_model(output_type: int = TensorProto.FLOAT) -> bytes:
    node = helper.make_node("Add", ["x", "x"], ["y"])
    graph = helper.make_graph(
        [node],
        "doubling",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 2])],
        [helper.make_tensor_value_info("y", output_type, ["rows", 2])],
    )
    opset = helper.make_opsetid("", 21)
    return helper.make_model(graph, opset_imports=[opset], ir_version=10).SerializeToString()


def test_onnx_models_are_checked_and_run(client: Client) -> None:
    model = np.frombuffer(doubling_model(), np.uint8)
    assert client("check_onnx", {"model": model}).result == {"ok": True, "error": None}
    x = floats(3, 2).astype(np.float32)
    np.testing.assert_array_equal(client("run_onnx", {"model": model, "x": x}).tensors["y"], x + x)


@pytest.mark.parametrize("content", [doubling_model(TensorProto.INT64), b"not onnx", doubling_model()[:-9]])
def test_broken_onnx_models_are_reported(client: Client, content: bytes) -> None:
    result = client("check_onnx", {"model": np.frombuffer(content, np.uint8)}).result
    assert result["ok"] is False
    assert result["error"]
