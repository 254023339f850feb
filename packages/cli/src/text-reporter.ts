import type { EventOfType } from "@gradbank/core";
import { describeDivergence, describeNearest } from "./divergence-text.ts";
import { describeError } from "./error-report.ts";
import {
  formatAmount,
  formatChange,
  formatCount,
  formatMagnitude,
  formatMegabytes,
  formatSeconds,
} from "./number-format.ts";
import { parityHeadings, parityLegend, parityRow } from "./parity-table.ts";
import { ProgressLine } from "./progress-line.ts";
import type { QuickstartEvent, ReportedEvent, Reporter } from "./quickstart-events.ts";
import { styled, type Terminal, type TextStyle } from "./terminal.ts";
import { describeProgress, drawBar, RemainingTime } from "./training-progress.ts";

export interface TextReporterOptions {
  /** Where text goes. */
  readonly terminal: Terminal;
  /** Where errors go. */
  readonly writeError: (text: string) => void;
  /** Milliseconds of a clock. Default: the process's. */
  readonly now?: () => number;
}

type EventOf<Type extends QuickstartEvent["type"]> = Extract<QuickstartEvent, { type: Type }>;

/** Milliseconds between two lines about training where lines cannot be overwritten. */
const plainInterval = 10_000;
const barWidth = 20;
/** Narrower terminals need the room for the text. */
const columnsForBar = 100;
const widestPlainLine = 120;

const interruptionAnswers = {
  preparing: "stopping before training begins; once more ends at once.",
  training: "finishing the step at hand, then saving; once more ends unsaved.",
  trained: "nearly done: saving and checking the model; once more ends at once.",
} as const;

/** Tells a quickstart's events in text: what stays as lines, and on a terminal a line of progress below them. */
export class TextReporter implements Reporter {
  readonly #terminal: Terminal;
  readonly #writeError: (text: string) => void;
  readonly #now: () => number;
  readonly #lines: ProgressLine;
  readonly #remaining = new RemainingTime();
  #paritySteps = 0;
  #maxSteps = 0;
  #phase: "preparing" | "training" | "trained" = "preparing";
  #lastPlainLine = 0;

  constructor({ terminal, writeError, now = () => performance.now() }: TextReporterOptions) {
    this.#terminal = terminal;
    this.#writeError = writeError;
    this.#now = now;
    this.#lines = new ProgressLine(terminal);
  }

  report(event: ReportedEvent): void {
    switch (event.type) {
      case "quickstart-start":
        this.#lines.write(`${this.#style("bold", "gradbank quickstart")}\n`);
        break;
      case "activity-start":
        this.#tellActivity(event.activity);
        break;
      case "python-start": {
        const { python, torch, sentenceTransformers } = event.versions;
        this.#tell("Python", `${python}, torch ${torch}, sentence-transformers ${sentenceTransformers}`);
        break;
      }
      case "model-loaded":
        this.#tell("Model", event.name);
        this.#tell(
          "",
          `${event.architecture}, ${formatAmount(event.layers, "layer")}, ${formatAmount(event.parameters, "weight")}, embeddings of ${event.dimension} numbers`,
        );
        break;
      case "data-loaded":
        this.#tellData(event);
        break;
      case "parity-skip":
        this.#lines.write(`\nParity   skipped: ${event.reason}`);
        break;
      case "parity-start":
        this.#lines.write(
          `\n${this.#style("bold", "Parity with Python")}: the run's first ${event.steps === 1 ? "step" : `${event.steps} steps`}, same weights and dropout masks`,
        );
        for (const line of parityLegend) this.#lines.write(this.#style("dim", line));
        this.#lines.write(parityHeadings(this.#terminal));
        this.#paritySteps = event.steps;
        this.#lines.wait(`  comparing step 1 of ${event.steps}`);
        break;
      case "parity-step": {
        const { step } = event.report;
        this.#lines.write(parityRow(event.report, this.#terminal));
        if (step < this.#paritySteps) this.#lines.wait(`  comparing step ${step + 1} of ${this.#paritySteps}`);
        break;
      }
      case "parity-divergence":
        for (const line of describeDivergence(event.divergence)) this.#lines.write(`   ${line}`);
        break;
      case "parity-error":
        this.#lines.write(`  ${this.#style("red", `failed (${event.code}):`)} ${event.message}`);
        break;
      case "parity-end":
        this.#tellVerdict(event);
        break;
      case "run-start":
        this.#tellRun(event);
        break;
      case "evaluation-end":
        this.#tellEvaluation(event);
        break;
      case "step-end":
        this.#tellStep(event);
        break;
      case "run-end":
        this.#phase = "trained";
        this.#lines.write("");
        break;
      case "interruption":
        this.#lines.write(`\n${event.signal}: ${interruptionAnswers[this.#phase]}`);
        break;
      case "model-saved":
        this.#tell("Saved", `${event.folder} in ${formatSeconds(event.seconds)}`);
        break;
      case "model-checked":
        this.#tellCheck(event);
        break;
      case "quickstart-end":
        this.#tellEnd(event);
        break;
      default:
      // Log entries repeat steps; run-error is told by fail.
    }
  }

  fail(error: unknown): void {
    this.#lines.clear();
    this.#writeError(`\n${this.#style("red", describeError(error))}\n`);
  }

  #tell(label: string, text: string): void {
    this.#lines.write(`${label.padEnd(9)}${text}`);
  }

  #tellActivity(activity: string): void {
    if (this.#terminal.isInteractive) this.#lines.wait(activity);
    else this.#lines.write(`${activity} ...`);
  }

  #tellData({ name, trainPairs, queries, documents, example }: EventOf<"data-loaded">): void {
    this.#tell("Data", name);
    this.#tell(
      "",
      `${formatAmount(trainPairs, "pair")} to train on; to test, ${formatAmount(queries, "query", "queries")} against ${formatAmount(documents, "document")}`,
    );
    const [anchor = "", positive = ""] = example;
    const width = this.#terminal.isInteractive ? this.#terminal.columns() - 1 : widestPlainLine;
    const room = Math.min(width, widestPlainLine) - 15;
    this.#lines.write(this.#style("dim", `         "${shorten(anchor, room)}"`));
    this.#lines.write(this.#style("dim", `         -> "${shorten(positive, room)}"`));
  }

  #tellVerdict({ verdict, nearest, report }: EventOf<"parity-end">): void {
    const style = verdict === "equal" ? "green" : "red";
    this.#lines.write(`  Verdict: ${this.#style(style, verdict)}${verdict === "equal" ? " at every stage" : ""}`);
    if (nearest) this.#lines.write(`  Nearest to its limit: ${describeNearest(nearest)}`);
    if (report) this.#lines.write(this.#style("dim", `  Every stage and tensor: ${report}`));
    if (verdict !== "equal") this.#lines.write("  Training goes on; the exit status will be 1.");
  }

  #tellRun({ maxSteps, arguments: given, loss, banks = [] }: EventOfType<"run-start">): void {
    this.#maxSteps = maxSteps;
    this.#phase = "training";
    this.#lines.write(
      `\n${this.#style("bold", "Training")}: ${formatAmount(maxSteps, "step")} of ${given.perDeviceTrainBatchSize} pairs, ${loss.options.mini_batch_size} encoded at once; learning rate up to ${formatMagnitude(Number(given.learningRate))}`,
    );
    for (const { capacity, bytes } of banks)
      this.#lines.write(
        `  bank of ${formatAmount(capacity, "row")} a column as further negatives, ${formatMegabytes(bytes)}`,
      );
    this.#lines.wait("  measuring NDCG@10 before training");
  }

  #tellEvaluation({ step, metrics, primaryMetric, evalRuntime }: EventOfType<"evaluation-end">): void {
    const value = metrics[primaryMetric ?? ""];
    const when = step === 0 ? "before" : "after";
    if (value !== undefined)
      this.#lines.write(`  NDCG@10 ${when} training: ${value.toFixed(4)} (${formatSeconds(evalRuntime)})`);
    if (step > 0) return;
    this.#remaining.begin(this.#now());
    this.#lastPlainLine = this.#now();
    this.#lines.wait("  first step");
  }

  #tellStep({ step, loss, learningRate, pairsPerSecond, bank }: EventOfType<"step-end">): void {
    const now = this.#now();
    const maxSteps = this.#maxSteps;
    const text = describeProgress(
      { step, maxSteps, loss, learningRate, pairsPerSecond, bankRows: bank?.rows },
      this.#remaining.seconds(step, maxSteps, now),
    );
    if (this.#terminal.isInteractive && step < maxSteps) {
      const bar = this.#terminal.columns() < columnsForBar ? "" : `${drawBar(step / maxSteps, barWidth)} `;
      this.#lines.show(`  ${bar}${text}`);
    } else if (step === 1 || step === maxSteps || now - this.#lastPlainLine >= plainInterval) {
      this.#lastPlainLine = now;
      this.#lines.write(`  ${text}`);
    }
    if (step === maxSteps) this.#lines.wait("  measuring NDCG@10 after training");
  }

  #tellCheck({ reloaded, python, equal }: EventOf<"model-checked">): void {
    this.#tell(
      "",
      reloaded === 0
        ? "loaded again: the same embeddings, bit by bit"
        : `loaded again: embeddings differ by up to ${formatMagnitude(reloaded)}`,
    );
    if (python !== undefined)
      this.#tell("", `opened by Python sentence-transformers: embeddings within ${formatMagnitude(python)}`);
    if (!equal) this.#lines.write(this.#style("red", "         The saved model is not the one that was trained."));
  }

  #tellEnd(event: EventOf<"quickstart-end">): void {
    const { reason, step, maxSteps, before, after, parity, seconds, modelFolder } = event;
    if (modelFolder === undefined) {
      this.#lines.write(`\nStopped before the first step, after ${formatSeconds(seconds)}: nothing to save.`);
      return;
    }
    if (reason === "interrupted") {
      this.#lines.write(
        `\nStopped after step ${formatCount(step)} of ${formatCount(maxSteps)}; the model is saved as it is.`,
      );
      this.#lines.write(`To train on from it: npm start -- --model ${modelFolder}`);
      return;
    }
    this.#lines.write("");
    if (before !== undefined && after !== undefined)
      this.#tell(
        "NDCG@10",
        `${before.toFixed(4)} -> ${this.#style("bold", after.toFixed(4))} (${formatChange(after - before)})`,
      );
    this.#tell("Parity", this.#style(parity === "equal" ? "green" : parity === "skipped" ? "dim" : "red", parity));
    this.#tell("Time", formatSeconds(seconds));
    this.#tell("Model", modelFolder);
    this.#lines.write(`\n${this.#style("bold", "From TypeScript")}\n${indent(typescriptUse(modelFolder))}`);
    this.#lines.write(`${this.#style("bold", "From Python")}\n${indent(pythonUse(modelFolder))}`);
  }

  #style(style: TextStyle, text: string): string {
    return styled(this.#terminal, style, text);
  }
}

function shorten(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, Math.max(0, length - 3))}...`;
}

function indent(lines: readonly string[]): string {
  return lines.map((line) => `  ${line}`).join("\n");
}

function typescriptUse(folder: string): string[] {
  return [
    'import { SentenceEncoder } from "@gradbank/core";',
    `const encoder = await SentenceEncoder.load(${JSON.stringify(folder)});`,
    'const embeddings = await encoder.encode(["a small dog", "a puppy"]);',
  ];
}

function pythonUse(folder: string): string[] {
  return [
    "from sentence_transformers import SentenceTransformer",
    `model = SentenceTransformer(${JSON.stringify(folder)})`,
    'embeddings = model.encode(["a small dog", "a puppy"])',
  ];
}
