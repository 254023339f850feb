"""Writes step-counts.json: step counts and learning rates of the installed transformers, for step-counts.test.ts.

Run from the repository root: node scripts/python.mjs packages/core/src/trainer/__fixtures__/step-counts.py
"""

import json
import math
import random
import tempfile
from pathlib import Path
from types import SimpleNamespace

import torch
import transformers
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerState, TrainingArguments, get_linear_schedule_with_warmup

generator = random.Random(3612)


def counts(rows, batch_size, drop_last, accumulation, epochs, max_steps, warmup, logging_steps, eval_steps, save_steps):
    loader = DataLoader(range(rows), batch_size=batch_size, drop_last=drop_last)
    arguments = TrainingArguments(
        output_dir=tempfile.gettempdir(),
        use_cpu=True,
        per_device_train_batch_size=batch_size,
        dataloader_drop_last=drop_last,
        gradient_accumulation_steps=accumulation,
        num_train_epochs=epochs,
        max_steps=max_steps,
        warmup_steps=warmup,
        logging_steps=logging_steps,
        eval_steps=eval_steps,
        save_steps=save_steps,
        eval_strategy="steps",
        report_to=[],
    )
    trainer = SimpleNamespace(
        get_total_train_batch_size=lambda _: batch_size * accumulation,
        get_sp_size=lambda: 1,
        num_examples=lambda _: rows,
    )
    epoch_count, updates, _, _, _, batches, steps = Trainer.set_initial_training_values(trainer, arguments, loader)
    state = TrainerState()
    state.compute_steps(arguments, steps)
    warmup_steps = arguments.get_warmup_steps(steps)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=4e-5)
    schedule = get_linear_schedule_with_warmup(optimizer, warmup_steps, steps)
    rates = []
    for _ in range(min(steps + 1, 120)):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return {
        "rows": rows,
        "arguments": {
            "perDeviceTrainBatchSize": batch_size,
            "dataloaderDropLast": drop_last,
            "gradientAccumulationSteps": accumulation,
            "numTrainEpochs": epochs,
            "maxSteps": max_steps,
            "warmupSteps": warmup,
            "loggingSteps": logging_steps,
            "evalSteps": eval_steps,
            "saveSteps": save_steps,
        },
        "counts": {
            "batchesPerEpoch": batches,
            "updatesPerEpoch": updates,
            "epochs": epoch_count,
            "maxSteps": steps,
            "warmupSteps": warmup_steps,
            "loggingSteps": state.logging_steps,
            "evalSteps": state.eval_steps,
            "saveSteps": state.save_steps,
        },
        "learningRates": rates,
    }


cases = []
while len(cases) < 40:
    rows = generator.randint(1, 500)
    batch_size = generator.randint(1, 64)
    drop_last = generator.random() < 0.4
    if drop_last and rows < batch_size:
        continue
    epochs = generator.choice([1, 2, 3, 0.5, 1.3, round(generator.uniform(0.1, 4), 2)])
    share = round(generator.uniform(0.01, 0.9), 3)
    cases.append(
        counts(
            rows,
            batch_size,
            drop_last,
            generator.randint(1, 9),
            epochs,
            generator.choice([-1, -1, generator.randint(1, 60)]),
            generator.choice([0, share, generator.randint(1, 30)]),
            generator.choice([share, generator.randint(1, 40)]),
            generator.choice([0.1, generator.randint(1, 40)]),
            generator.choice([0.2, generator.randint(1, 40)]),
        )
    )

assert all(math.isfinite(rate) for case in cases for rate in case["learningRates"])
result = {"transformers": transformers.__version__, "learningRate": 4e-5, "cases": cases}
Path(__file__).with_suffix(".json").write_text(json.dumps(result) + "\n")
