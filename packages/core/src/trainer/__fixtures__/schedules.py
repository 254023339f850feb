"""Writes schedules.json: learning rates of transformers' get_scheduler over whole runs, for schedule.test.ts.

Run from the repository root: node scripts/python.mjs packages/core/src/trainer/__fixtures__/schedules.py
"""

import json
from pathlib import Path

import torch
import transformers
from transformers import get_scheduler

KEYWORDS = {
    "linear": [{}],
    "cosine": [{}, {"num_cycles": 1.5}],
    "cosine_with_restarts": [{}, {"num_cycles": 3}],
    "polynomial": [{}, {"power": 2.0, "lr_end": 1e-6}],
    "constant": [{}],
    "constant_with_warmup": [{}],
    "inverse_sqrt": [{}, {"timescale": 7}],
}
CAMEL = {"num_cycles": "numCycles", "power": "power", "lr_end": "lrEnd", "timescale": "timescale"}
LEARNING_RATE = 4e-5


def rates(kind, keywords, warmup, steps):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LEARNING_RATE)
    schedule = get_scheduler(
        kind, optimizer, num_warmup_steps=warmup, num_training_steps=steps, scheduler_specific_kwargs=dict(keywords)
    )
    found = []
    for step in range(steps):
        found.append(schedule.get_last_lr()[0])
        optimizer.step()
        if step + 1 < steps:
            schedule.step()
    return found


cases = [
    {
        "type": kind,
        "keywords": {CAMEL[name]: value for name, value in keywords.items()},
        "warmupSteps": warmup,
        "maxSteps": steps,
        "learningRates": rates(kind, keywords, warmup, steps),
    }
    for kind, variants in KEYWORDS.items()
    for keywords in variants
    for warmup, steps in [(0, 1), (0, 60), (1, 7), (9, 88), (40, 40), (60, 30)]
]
result = {"transformers": transformers.__version__, "learningRate": LEARNING_RATE, "cases": cases}
Path(__file__).with_suffix(".json").write_text(json.dumps(result) + "\n")
