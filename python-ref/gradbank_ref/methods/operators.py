"""Methods that check single operators and whole ONNX models."""

from __future__ import annotations

from typing import Any

import onnx
import onnxruntime

from gradbank_ref.errors import InvalidParameters
from gradbank_ref.operators import evaluate
from gradbank_ref.session import Session
from gradbank_ref.wire import Reply, Tensors

MODEL = "model"


def evaluate_operator(
    session: Session, tensors: Tensors, *, operator: str, attributes: dict[str, Any] | None = None
) -> Reply:
    """The numpy result (tensor ``output``) of an operator on the tensors, taken in the order in which they come."""
    return Reply({}, {"output": evaluate(operator, list(tensors.values()), attributes or {})})


def check_onnx(session: Session, tensors: Tensors) -> Reply:
    """Check the ONNX model in the uint8 tensor ``model`` with onnx.checker, full check."""
    content = _model_bytes(tensors)
    try:
        onnx.checker.check_model(content, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError, RuntimeError) as error:
        return Reply({"ok": False, "error": f"{type(error).__name__}: {error}"})
    return Reply({"ok": True, "error": None})


def run_onnx(session: Session, tensors: Tensors, *, outputs: list[str] | None = None) -> Reply:
    """Run the ONNX model in the tensor ``model`` in Python's onnxruntime (CPU), feeding the other tensors by name."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    runtime = onnxruntime.InferenceSession(_model_bytes(tensors), options, providers=["CPUExecutionProvider"])
    feeds = {name: value for name, value in tensors.items() if name != MODEL}
    wanted = outputs or [output.name for output in runtime.get_outputs()]
    return Reply({}, dict(zip(wanted, runtime.run(wanted, feeds), strict=True)))


def _model_bytes(tensors: Tensors) -> bytes:
    if MODEL not in tensors or tensors[MODEL].dtype != "uint8":
        raise InvalidParameters(
            f"expected the ONNX model as the uint8 tensor {MODEL!r}; got {', '.join(tensors) or 'none'}"
        )
    return tensors[MODEL].tobytes()
