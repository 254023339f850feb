"""Writes saved-by-6.2: a tiny random BERT with the tokenizer of ../../tokenizer/__fixtures__/bert, saved by Python.

python make-model-folders.py    # needs sentence-transformers 6.2
"""

import os
import shutil
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
from transformers import AutoTokenizer, BertConfig, BertModel

here = Path(__file__).parent
torch.manual_seed(3)
bare = here / "bare"
shutil.rmtree(bare, ignore_errors=True)
tokenizer = AutoTokenizer.from_pretrained(here.parent.parent / "tokenizer" / "__fixtures__" / "bert")
config = BertConfig(
    vocab_size=len(tokenizer),
    hidden_size=4,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=8,
    max_position_embeddings=64,
    initializer_range=1.0,
)
BertModel(config).save_pretrained(bare)
tokenizer.save_pretrained(bare)
transformer = Transformer(str(bare), max_seq_length=48)
model = SentenceTransformer(
    modules=[transformer, Pooling(4, "cls", include_prompt=False), Normalize()],
    prompts={"query": "Frage: ", "document": "", "title": "Titel – "},
    default_prompt_name="title",
    similarity_fn_name="dot",
    device="cpu",
)
shutil.rmtree(here / "saved-by-6.2", ignore_errors=True)
model.save_pretrained(str(here / "saved-by-6.2"), create_model_card=False)
shutil.rmtree(bare)
