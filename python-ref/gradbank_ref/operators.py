"""Every operator of gradbank's graph package in plain numpy: what its ONNX lowering is checked against.

Floating-point inputs are computed in float64, so that the result is a better number than what it is compared with.
Operators and attributes have the names of the TypeScript side (camelCase).
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gradbank_ref.errors import InvalidParameters
from gradbank_ref.wire import DTYPES

Array = np.ndarray

_erf = np.frompyfunc(math.erf, 1, 1)


def erf(x: Array) -> Array:
    """The error function, element by element."""
    return np.asarray(_erf(x), dtype=np.float64)


def gelu(x: Array) -> Array:
    """x * Phi(x) with the exact normal distribution function (Hendrycks and Gimpel 2016)."""
    return x * 0.5 * (1 + erf(x / math.sqrt(2)))


def gelu_tanh(x: Array) -> Array:
    """The tanh approximation of gelu (Hendrycks and Gimpel 2016)."""
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)) without overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def matmul(a: Array, b: Array, *, transposeA: bool = False, transposeB: bool = False, alpha: float = 1) -> Array:
    """alpha * a' b' over the last two axes, leading axes broadcast."""
    left = np.swapaxes(a, -1, -2) if transposeA else a
    right = np.swapaxes(b, -1, -2) if transposeB else b
    return alpha * np.matmul(left, right)


def linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """x weight^T + bias, weight [out, in]."""
    product = np.matmul(x, weight.T)
    return product if bias is None else product + bias


def slice_axis(x: Array, *, axis: int, start: int, end: int) -> Array:
    """Elements start <= i < end of one axis."""
    selection = [slice(None)] * x.ndim
    selection[axis] = slice(start, end)
    return x[tuple(selection)]


def gather(table: Array, indices: Array) -> Array:
    """Rows of a table."""
    return table[indices]


def scatter_add(indices: Array, updates: Array, *, rows: int) -> Array:
    """A table of ``rows`` rows in which every update is added to the row of its index."""
    table = np.zeros((rows, *updates.shape[indices.ndim :]), updates.dtype)
    np.add.at(table, indices, updates)
    return table


def _reduction(function: Callable[..., Array]) -> Callable[..., Array]:
    def reduce(x: Array, *, axes: list[int] | None = None, keepDimensions: bool = False) -> Array:
        return function(x, axis=None if axes is None else tuple(axes), keepdims=keepDimensions)

    return reduce


def _log_sum_exp(x: Array, *, axis: tuple[int, ...] | None, keepdims: bool) -> Array:
    highest = np.max(x, axis=axis, keepdims=True)
    result = np.log(np.sum(np.exp(x - highest), axis=axis, keepdims=True)) + highest
    return result if keepdims else np.squeeze(result, axis=axis)


def softmax(x: Array, *, axis: int = -1) -> Array:
    """exp(x) / sum exp(x) along an axis."""
    shifted = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return shifted / np.sum(shifted, axis=axis, keepdims=True)


def layer_normalization(x: Array, weight: Array, bias: Array, *, epsilon: float) -> Array:
    """Normalization of the last axis (Ba et al. 2016), with the biased variance."""
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred**2).mean(axis=-1, keepdims=True)
    return centred / np.sqrt(variance + epsilon) * weight + bias


def dropout(x: Array, mask: Array, *, rate: float) -> Array:
    """x where the mask is 1, over 1 - rate (Srivastava et al. 2014, inverted)."""
    return x * mask.astype(x.dtype) / (1 - rate)


def cast(x: Array, *, to: str) -> Array:
    """Values in another data type."""
    if to not in DTYPES:
        raise InvalidParameters(f"cast: to is {to!r}; expected one of {', '.join(DTYPES)}")
    return x.astype(DTYPES[to])


def pad(x: Array, *, axis: int, before: int, after: int) -> Array:
    """Zeros before and after along one axis."""
    widths = [(0, 0)] * x.ndim
    widths[axis] = (before, after)
    return np.pad(x, widths)


def count_up(*, size: int, dataType: str) -> Array:
    """0, 1, ... size - 1."""
    return np.arange(size, dtype=DTYPES[dataType])


def concat(*inputs: Array, axis: int) -> Array:
    """Inputs one after another along an axis."""
    return np.concatenate(inputs, axis=axis)


OPERATORS: dict[str, Callable[..., Array]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "maximum": np.maximum,
    "negate": lambda x: -x,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "reciprocal": lambda x: 1 / x,
    "tanh": np.tanh,
    "erf": erf,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": sigmoid,
    "silu": lambda x: x * sigmoid(x),
    "gelu": gelu,
    "geluTanh": gelu_tanh,
    "equal": lambda a, b: a == b,
    "less": lambda a, b: a < b,
    "greater": lambda a, b: a > b,
    "and": np.logical_and,
    "not": np.logical_not,
    "where": np.where,
    "cast": cast,
    "cumulativeSum": lambda x, *, axis: np.cumsum(x, axis=axis, dtype=x.dtype),
    "matmul": matmul,
    "linear": linear,
    "reshape": lambda x, *, shape: x.reshape(shape),
    "transpose": lambda x, *, permutation: np.transpose(x, permutation),
    "concat": concat,
    "slice": slice_axis,
    "expand": lambda x, *, shape: np.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(shape))),
    "pad": pad,
    "range": count_up,
    "stopGradient": lambda x: x,
    "gather": gather,
    "pack": lambda x, places, origins, is_filled: x[places],
    "unpack": lambda x, places, origins, is_filled: x[origins] * is_filled,
    "scatterAdd": scatter_add,
    "reduceSum": _reduction(np.sum),
    "reduceMean": _reduction(np.mean),
    "reduceMax": _reduction(np.max),
    "logSumExp": _reduction(_log_sum_exp),
    "softmax": softmax,
    "layerNormalization": layer_normalization,
    "dropout": dropout,
}


def evaluate(operator: str, inputs: list[Array], attributes: dict[str, Any]) -> Array:
    """Evaluate an operator. Floats are computed and returned in float64, integers and booleans keep their type.

    Like IEEE 754, out-of-domain values give nan or inf without a warning.
    """
    if operator not in OPERATORS:
        raise InvalidParameters(f"operator {operator!r} is not known; known: {', '.join(OPERATORS)}")
    function = OPERATORS[operator]
    wide = [array.astype(np.float64) if array.dtype.kind == "f" else array for array in inputs]
    try:
        with np.errstate(all="ignore"):
            return np.asarray(function(*wide, **attributes))
    except (TypeError, ValueError, IndexError) as error:
        shapes = ", ".join(f"{array.dtype}{list(array.shape)}" for array in inputs)
        signature = "" if isinstance(function, np.ufunc) else f" with signature {inspect.signature(function)}"
        raise InvalidParameters(
            f"operator {operator}{signature} cannot take ({shapes}) and attributes {attributes}: {error}"
        ) from error
