"""Small random models of every supported architecture, made by transformers with a fixed seed.

Unlike a fresh model, every bias and every LayerNorm weight is random too, and weights are large enough that texts get
clearly different embeddings: otherwise many gradients would be near zero and a comparison would prove little.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from filelock import FileLock
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from gradbank_ref.errors import InvalidParameters

_BERT_SPECIAL = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4}
_ROBERTA_SPECIAL = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<mask>": 4}
_MPNET_SPECIAL = {"<s>": 0, "<pad>": 1, "</s>": 2, "[UNK]": 3, "<mask>": 4}

ARCHITECTURES = ("bert", "roberta", "xlm-roberta", "mpnet", "distilbert")


@dataclass(frozen=True)
class RandomModel:
    """Everything that decides what a random model is."""

    architecture: str
    seed: int
    hidden_size: int
    layers: int
    heads: int
    intermediate_size: int
    vocab_size: int
    max_position_embeddings: int
    pooling: str
    normalize: bool
    dropout: float
    bare: bool
    texts: tuple[str, ...]

    def stamp(self) -> dict[str, Any]:
        """The facts written beside the folder; equal stamps mean equal models."""
        texts = hashlib.sha256("\0".join(self.texts).encode()).hexdigest()
        return {**asdict(self), "texts": texts, "transformers": transformers.__version__, "torch": torch.__version__}


def make_random_model(description: RandomModel, folder: Path) -> bool:
    """Write the model to ``folder`` unless it is there already. Returns whether it was written.

    A stamp file beside the folder (``<folder>.stamp.json``) says what the folder holds.
    """
    _check(description)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Test files that run side by side ask for the same models: the first makes them, the others wait.
    with FileLock(folder.with_name(folder.name + ".lock")):
        return _make(description, folder)


def _make(description: RandomModel, folder: Path) -> bool:
    stamp_file = folder.with_name(folder.name + ".stamp.json")
    stamp = description.stamp()
    if folder.exists():
        if not stamp_file.exists():
            raise InvalidParameters(
                f"folder {str(folder)!r} exists and was not made by make_model (no {stamp_file.name} beside it); "
                "give another folder"
            )
        if json.loads(stamp_file.read_text()) == stamp:
            return False
        shutil.rmtree(folder)
    stamp_file.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        finished = _write(description, Path(temporary))
        finished.rename(folder)
    stamp_file.write_text(json.dumps(stamp, indent=2))
    return True


def _write(description: RandomModel, temporary: Path) -> Path:
    bare = temporary / "transformer"
    tokenizer = trained_tokenizer(description)
    random_transformer(description, tokenizer).save_pretrained(bare)
    tokenizer.save_pretrained(bare)
    if description.bare:
        return bare
    modules: list[torch.nn.Module] = [
        Transformer(str(bare)),
        Pooling(description.hidden_size, pooling_mode=description.pooling),
    ]
    if description.normalize:
        modules.append(Normalize())
    finished = temporary / "sentence-transformer"
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(finished), create_model_card=False)
    return finished


def trained_tokenizer(description: RandomModel) -> PreTrainedTokenizerBase:
    """A tokenizer in the style of the architecture, trained on the texts, with the usual special token ids."""
    untrained = {
        "bert": lambda: transformers.BertTokenizer(vocab=_BERT_SPECIAL),
        "distilbert": lambda: transformers.DistilBertTokenizer(vocab=_BERT_SPECIAL),
        "mpnet": lambda: transformers.MPNetTokenizer(vocab=_MPNET_SPECIAL),
        "roberta": lambda: transformers.RobertaTokenizer(vocab=_ROBERTA_SPECIAL, merges=[]),
        "xlm-roberta": lambda: transformers.XLMRobertaTokenizer(),
    }[description.architecture]()
    tokenizer = untrained.train_new_from_iterator(
        list(description.texts), vocab_size=description.vocab_size, show_progress=False
    )
    tokenizer.model_max_length = description.max_position_embeddings - _position_offset(description.architecture)
    return tokenizer


def random_transformer(description: RandomModel, tokenizer: PreTrainedTokenizerBase) -> torch.nn.Module:
    """The transformers model with every parameter drawn from the seed."""
    config = _config(description, tokenizer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(description.seed)
        model = transformers.AutoModel.from_config(config)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(_draw(name, parameter.shape))
    return model.eval()


def _draw(name: str, shape: torch.Size) -> torch.Tensor:
    noise = torch.randn(shape)
    if "norm" in name.lower():
        return 1 + 0.2 * noise if name.endswith("weight") else 0.1 * noise
    if name.endswith("bias"):
        return 0.1 * noise
    if "word_embeddings" in name:
        return noise
    if "embeddings" in name or "relative_attention_bias" in name:
        return 0.4 * noise
    return noise / math.sqrt(shape[-1])


def _config(description: RandomModel, tokenizer: PreTrainedTokenizerBase) -> PreTrainedConfig:
    special = {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "max_position_embeddings": description.max_position_embeddings,
    }
    if description.architecture == "distilbert":
        return transformers.DistilBertConfig(
            **special,
            dim=description.hidden_size,
            n_layers=description.layers,
            n_heads=description.heads,
            hidden_dim=description.intermediate_size,
            dropout=description.dropout,
            attention_dropout=description.dropout,
        )
    common = {
        **special,
        "hidden_size": description.hidden_size,
        "num_hidden_layers": description.layers,
        "num_attention_heads": description.heads,
        "intermediate_size": description.intermediate_size,
        "hidden_dropout_prob": description.dropout,
        "attention_probs_dropout_prob": description.dropout,
    }
    if description.architecture == "bert":
        return transformers.BertConfig(**common)
    if description.architecture == "mpnet":
        return transformers.MPNetConfig(**common)
    roberta = {**common, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
    if description.architecture == "roberta":
        return transformers.RobertaConfig(**roberta)
    return transformers.XLMRobertaConfig(**roberta)


def _position_offset(architecture: str) -> int:
    """RoBERTa and MPNet count positions from the padding id + 1, so two rows of the table hold no position."""
    return 2 if architecture in ("roberta", "xlm-roberta", "mpnet") else 0


def _check(description: RandomModel) -> None:
    if description.architecture not in ARCHITECTURES:
        raise InvalidParameters(
            f"architecture is {description.architecture!r}; expected one of {', '.join(ARCHITECTURES)}"
        )
    if description.pooling not in Pooling.POOLING_MODES:
        raise InvalidParameters(
            f"pooling is {description.pooling!r}; expected one of {', '.join(Pooling.POOLING_MODES)}"
        )
    if description.hidden_size % description.heads != 0:
        raise InvalidParameters(f"hidden_size {description.hidden_size} is not a multiple of heads {description.heads}")
    if not description.texts:
        raise InvalidParameters("texts is empty; the tokenizer is trained on them")
