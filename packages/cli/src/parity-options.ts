/** What `gradbank parity` was asked to do. */
export interface ParityOptions {
  /** Suite files, and names of suites that ship with gradbank; none: the suite `quick`. */
  readonly suites: readonly string[];
  /** All suites that ship. */
  readonly all: boolean;
  /** Tell suites and cases instead of comparing. */
  readonly list: boolean;
  /** Only cases whose name contains one of these texts; none: all cases. */
  readonly cases: readonly string[];
  /** Values set in the suite file, such as `loss.scale=10`. */
  readonly overrides: readonly string[];
  /** Steps of every case; undefined: as the suite has them. */
  readonly steps: number | undefined;
  /** Loss that every case is held against, as suite files name it: a class, or `file.py:Class`, seen from here. */
  readonly reference: string | undefined;
  /** Keyword arguments of `reference`. */
  readonly referenceOptions: Readonly<Record<string, unknown>>;
  /** Folder of the report; undefined: none is written. */
  readonly report: string | undefined;
  /** Whether to write events as JSON Lines instead of text. */
  readonly json: boolean;
  /** Folder that keeps what the reference computed. */
  readonly exportGolden: string | undefined;
  /** Folder from which the reference's results are taken, without Python. */
  readonly importGolden: string | undefined;
  /** Python interpreter; undefined: that of python-ref/.venv. */
  readonly python: string | undefined;
  /** Endpoint of a server that runs already; undefined: Python is started. */
  readonly connect: string | undefined;
  /** Client's keys for `connect`. */
  readonly keys: string | undefined;
  /** Threads inside one operator, on both sides. */
  readonly threads: number | undefined;
  /** `small`: large tensors travel as sketches, whole only where they differ; `all`: always whole; undefined: as the suite says. */
  readonly tensors: "small" | "all" | undefined;
  /** Folder for the tensors that differ. */
  readonly saveTensors: string | undefined;
  /** Whether to stop at the first difference. */
  readonly failFast: boolean;
}

/** What holds for options that are not given. */
export const parityDefaults: ParityOptions = {
  suites: [],
  all: false,
  list: false,
  cases: [],
  overrides: [],
  steps: undefined,
  reference: undefined,
  referenceOptions: {},
  report: undefined,
  json: false,
  exportGolden: undefined,
  importGolden: undefined,
  python: undefined,
  connect: undefined,
  keys: undefined,
  threads: undefined,
  tensors: undefined,
  saveTensors: undefined,
  failFast: false,
};
