import { access, readdir } from "node:fs/promises";
import { join } from "node:path";
import { ModelFolderError } from "../errors.ts";
import { isJsonObject, readOptionalJsonObject } from "./read-json-file.ts";
import {
  type Float32Tensor,
  readSafetensorsHeader,
  readSafetensorsTensor,
  type SafetensorsHeader,
} from "./safetensors.ts";
import { mapWeightNames } from "./weight-names.ts";

const singleFile = "model.safetensors";
const indexFile = "model.safetensors.index.json";

/** The weights of a model folder, read tensor by tensor on demand. */
export class ModelWeights {
  /** Names of the bare encoder's tensors, without the prefixes and heads that a checkpoint may carry. */
  readonly names: readonly string[];

  private readonly places: ReadonlyMap<string, { readonly header: SafetensorsHeader; readonly name: string }>;
  private readonly folder: string;

  private constructor(folder: string, headers: readonly SafetensorsHeader[]) {
    const owners = new Map(
      headers.flatMap((header) => [...header.tensors.keys()].map((name) => [name, header] as const)),
    );
    this.places = new Map(
      [...mapWeightNames(owners.keys())].map(([bare, name]) => [bare, { header: owners.get(name)!, name }]),
    );
    this.names = [...this.places.keys()];
    this.folder = folder;
  }

  /**
   * Opens model.safetensors, or the files that model.safetensors.index.json names; reads their headers only.
   *
   * @param folder Folder that holds the files.
   * @throws ModelFolderError `missing-file` without such a file (pytorch_model.bin is refused with a way to convert it),
   *   `invalid-safetensors`, `invalid-json`, `missing-tensor` when the index names a tensor that its file lacks.
   */
  static async open(folder: string): Promise<ModelWeights> {
    if (await exists(join(folder, singleFile))) {
      return new ModelWeights(folder, [await readSafetensorsHeader(join(folder, singleFile))]);
    }
    const index = await readOptionalJsonObject(join(folder, indexFile));
    if (index === undefined) throw await withoutSafetensors(folder);
    return new ModelWeights(folder, await readShards(folder, index.weight_map));
  }

  /** Whether the weights hold a tensor of this name. */
  has(name: string): boolean {
    return this.places.has(name);
  }

  /**
   * Shape of a tensor, without reading it.
   * @throws ModelFolderError `missing-tensor`.
   */
  shapeOf(name: string): readonly number[] {
    const { header, name: stored } = this.placeOf(name);
    return header.tensors.get(stored)!.shape;
  }

  /**
   * Reads a tensor as float32 (F64, F16 and BF16 are converted).
   *
   * @throws ModelFolderError `missing-tensor`; `invalid-tensor` when it holds integers; `non-finite-weight` when a value is
   *   NaN or infinite.
   */
  async read(name: string): Promise<Float32Tensor> {
    const { header, name: stored } = this.placeOf(name);
    const { data, dtype, shape } = await readSafetensorsTensor(header, stored);
    if (!(data instanceof Float32Array)) {
      throw new ModelFolderError(
        "invalid-tensor",
        `Tensor "${stored}" in ${header.file} is of type ${dtype}, but a weight must be of type F32, F16, BF16 or F64. ` +
          "Quantized models cannot be trained; use the model that this one was made from.",
        { file: header.file, tensor: stored, dtype },
      );
    }
    const bad = firstNonFinite(data);
    if (bad >= 0) {
      throw new ModelFolderError(
        "non-finite-weight",
        `Tensor "${stored}" in ${header.file} holds ${data[bad]} at index ${bad} of ${data.length}. ` +
          "Such a model cannot be trained: go back to a checkpoint from before its training diverged.",
        { file: header.file, tensor: stored, index: bad, value: data[bad] },
      );
    }
    return { shape, data };
  }

  private placeOf(name: string): { readonly header: SafetensorsHeader; readonly name: string } {
    const place = this.places.get(name);
    if (place !== undefined) return place;
    throw new ModelFolderError(
      "missing-tensor",
      `The weights in ${this.folder} hold no tensor "${name}". They hold ${this.names.length}: ` +
        `${this.names.slice(0, 5).join(", ")}${this.names.length > 5 ? ", ..." : ""}. Check that config.json belongs to these weights.`,
      { folder: this.folder, tensor: name },
    );
  }
}

function firstNonFinite(values: Float32Array): number {
  // A loop, not findIndex: it runs over every weight of the model.
  for (let index = 0; index < values.length; index++) {
    const value = values[index]!;
    if (value - value !== 0) return index;
  }
  return -1;
}

async function readShards(folder: string, weightMap: unknown): Promise<SafetensorsHeader[]> {
  const index = join(folder, indexFile);
  const entries = isJsonObject(weightMap) ? Object.entries(weightMap) : [];
  const bad = entries.find(([, file]) => typeof file !== "string" || !/^[^/\\]+\.safetensors$/.test(file));
  if (entries.length === 0 || bad !== undefined) {
    throw new ModelFolderError(
      "invalid-json",
      bad === undefined
        ? `${index} has no weight_map. Restore the file from where the model came from.`
        : `${index} puts tensor "${bad[0]}" into ${JSON.stringify(bad[1])}, but the name of a .safetensors file beside it was expected.`,
      { file: index, tensor: bad?.[0] },
    );
  }
  const headers = new Map<string, SafetensorsHeader>();
  for (const [tensor, file] of entries as [string, string][]) {
    const header = headers.get(file) ?? (await readSafetensorsHeader(join(folder, file)));
    headers.set(file, header);
    if (!header.tensors.has(tensor)) {
      throw new ModelFolderError(
        "missing-tensor",
        `${index} puts tensor "${tensor}" into ${file}, which does not hold it. Fetch the model's files again.`,
        { file: index, tensor, shard: file },
      );
    }
  }
  return [...headers.values()];
}

async function withoutSafetensors(folder: string): Promise<ModelFolderError> {
  const files = await readdir(folder).catch(() => [] as string[]);
  const other = files.find((file) => /\.(bin|pt|pth|h5|msgpack|onnx)$/.test(file) && file !== "training_args.bin");
  if (other === undefined) {
    return new ModelFolderError(
      "missing-file",
      `${folder} has no ${singleFile} (nor ${indexFile}). Check that the folder is a complete model and that all of it was fetched.`,
      { folder, file: singleFile },
    );
  }
  return new ModelFolderError(
    "missing-file",
    `${folder} has its weights in ${other}; only safetensors files are read. Convert the model once with Python: ` +
      `python -c "from sentence_transformers import SentenceTransformer as S; S('${folder}').save_pretrained('converted')" ` +
      "and load the folder `converted`.",
    { folder, file: singleFile, found: other },
  );
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
