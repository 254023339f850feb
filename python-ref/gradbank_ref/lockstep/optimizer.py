"""The update of the Hugging Face Trainer, outside of it: AdamW with its groups, and its clipping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor
from transformers import Trainer

from gradbank_ref.errors import InvalidParameters
from gradbank_ref.models import named_parameters


@dataclass(frozen=True)
class UpdateArguments:
    """Arguments of the update with the Trainer's names and defaults. ``max_grad_norm`` 0 clips nothing."""

    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_epsilon: float = 1e-8
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0


def parse_arguments(arguments: Mapping[str, Any] | None) -> UpdateArguments:
    """Arguments from a request."""
    known = [field.name for field in fields(UpdateArguments)]
    unknown = sorted(set(arguments or {}) - set(known))
    if unknown:
        raise InvalidParameters(f"arguments has {', '.join(unknown)}; expected some of {', '.join(known)}")
    return UpdateArguments(**{name: float(value) for name, value in (arguments or {}).items()})


def decayed_names(model: SentenceTransformer) -> set[str]:
    """Names of the transformer's parameters that the Trainer decays."""
    # The Trainer's method does not use the trainer.
    decayed = set(Trainer.get_decay_parameter_names(None, model))
    kept = {id(parameter) for name, parameter in model.named_parameters() if name in decayed}
    return {name for name, parameter in named_parameters(model).items() if id(parameter) in kept}


def build_optimizer(model: SentenceTransformer, arguments: UpdateArguments) -> torch.optim.AdamW:
    """AdamW as the Trainer builds it by default; the learning rate is set before each step."""
    decayed = decayed_names(model)
    trained = {name: parameter for name, parameter in named_parameters(model).items() if parameter.requires_grad}
    groups = [
        {
            "params": [parameter for name, parameter in trained.items() if (name in decayed) == decays],
            "weight_decay": arguments.weight_decay if decays else 0.0,
        }
        for decays in (True, False)
    ]
    return torch.optim.AdamW(
        groups,
        lr=0.0,
        betas=(arguments.adam_beta1, arguments.adam_beta2),
        eps=arguments.adam_epsilon,
        fused=True,
    )


def clip(model: SentenceTransformer, max_norm: float) -> Tensor:
    """Clip the norm of all gradients together, and return what it was before."""
    if max_norm > 0:
        return torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    return torch.nn.utils.get_total_norm(
        [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    )
