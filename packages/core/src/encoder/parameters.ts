import { ModelFolderError } from "../errors.ts";
import { addInto, float32Tensor, type Tensor } from "../runtime/tensor.ts";

/** One weight of a model: views into the buffers that hold all weights and all gradients. */
export interface Parameter {
  /** The name in `model.safetensors`. */
  readonly name: string;
  readonly shape: readonly number[];
  /** First element's place in the buffers. */
  readonly offset: number;
  readonly size: number;
  readonly data: Float32Array;
}

/**
 * All weights of a model in one float32 buffer, and their gradients in another of the same layout: norms, updates
 * and zeroing are single passes, and programs read each weight through a view.
 */
export class Parameters implements Iterable<Parameter> {
  readonly data: Float32Array;
  readonly #byName = new Map<string, Parameter>();
  readonly #tensors: Record<string, Tensor> = {};
  #gradients: Float32Array | undefined;

  /** @param weights name, shape and values of each parameter, in the order of the model. Copied. */
  constructor(weights: Iterable<{ name: string; shape: readonly number[]; data: Float32Array }>) {
    const list = [...weights];
    const total = list.reduce((sum, { data }) => sum + data.length, 0);
    this.data = new Float32Array(total);
    let offset = 0;
    for (const { name, shape, data } of list) {
      const view = this.data.subarray(offset, offset + data.length);
      view.set(data);
      this.#byName.set(name, { name, shape, offset, size: data.length, data: view });
      this.#tensors[name] = float32Tensor(view, shape);
      offset += data.length;
    }
  }

  /** How many numbers the model has. */
  get count(): number {
    return this.data.length;
  }

  /** Every parameter as a program input, by name. The tensors are views: updates are seen by the next run. */
  get tensors(): Readonly<Record<string, Tensor>> {
    return this.#tensors;
  }

  /** Gradients of all parameters, in the layout of `data`; zeros at first. Allocated when first asked for. */
  get gradients(): Float32Array {
    this.#gradients ??= new Float32Array(this.data.length);
    return this.#gradients;
  }

  /** @throws ModelFolderError "unknown-parameter" that lists what exists. */
  get(name: string): Parameter {
    const parameter = this.#byName.get(name);
    if (!parameter)
      throw new ModelFolderError(
        "unknown-parameter",
        `The model has no parameter "${name}". It has ${this.#byName.size}, among them ${[...this.#byName.keys()].slice(0, 5).join(", ")}.`,
        { name },
      );
    return parameter;
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  [Symbol.iterator](): Iterator<Parameter> {
    return this.#byName.values();
  }

  /** View of one parameter's gradient. */
  gradient(name: string): Float32Array {
    const { offset, size } = this.get(name);
    return this.gradients.subarray(offset, offset + size);
  }

  /** Adds to a parameter's gradient. */
  addGradient(name: string, gradient: Float32Array): void {
    addInto(this.gradient(name), gradient);
  }

  /**
   * Adds rows to the gradient of a table: row `k` of `rows` to row `indices[k]`.
   * @param rows `[indices.length, width of the table]`, flat.
   */
  addRowGradients(name: string, indices: ArrayLike<number | bigint>, rows: Float32Array): void {
    const sum = this.gradient(name);
    const width = this.get(name).shape[1]!;
    for (let row = 0; row < indices.length; row++) {
      const target = Number(indices[row]) * width;
      const source = row * width;
      for (let column = 0; column < width; column++) sum[target + column]! += rows[source + column]!;
    }
  }

  /** Sets every gradient to zero. */
  zeroGradients(): void {
    this.#gradients?.fill(0);
  }
}
