import type { TrainingArguments } from "./arguments.ts";
import type { RunState } from "./run-state.ts";
import type { StepCounts } from "./step-counts.ts";

/**
 * The content of `trainer_state.json`: the fields of transformers' `TrainerState`, in its order, so that
 * `TrainerState.load_from_json` and tools that plot it read it. Numbers that are not finite become null.
 *
 * @param bestModelCheckpoint folder of the best checkpoint.
 */
export function trainerState(
  state: Omit<RunState, "files">,
  counts: StepCounts,
  { perDeviceTrainBatchSize, numTrainEpochs, maxSteps }: TrainingArguments,
  bestModelCheckpoint: string | undefined,
): Record<string, unknown> {
  const callbacks = state.callbacks.map(({ name, state }) => [name, state] as const);
  return {
    best_global_step: state.best?.step ?? null,
    best_metric: state.best?.value ?? null,
    best_model_checkpoint: bestModelCheckpoint ?? null,
    epoch: state.epoch,
    eval_steps: counts.evalSteps,
    global_step: state.step,
    is_hyper_param_search: false,
    is_local_process_zero: true,
    is_world_process_zero: true,
    log_history: state.logHistory,
    logging_steps: counts.loggingSteps,
    max_steps: counts.maxSteps,
    num_input_tokens_seen: 0,
    num_train_epochs: maxSteps > 0 ? counts.epochs : Math.ceil(numTrainEpochs),
    save_steps: counts.saveSteps,
    stateful_callbacks: Object.fromEntries(callbacks),
    total_flos: 0,
    train_batch_size: perDeviceTrainBatchSize,
    trial_name: null,
    trial_params: null,
  };
}
