import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { BridgeKeysOptions, BridgeServeOptions } from "./bridge-command.ts";
import { runCommandLine } from "./command-line.ts";
import { exitCodes } from "./exit-codes.ts";
import { type ParityOptions, parityDefaults } from "./parity-options.ts";
import { type QuickstartOptions, quickstartDefaults } from "./quickstart-options.ts";

async function run(...given: string[]) {
  const asked: QuickstartOptions[] = [];
  const compared: ParityOptions[] = [];
  const keys: BridgeKeysOptions[] = [];
  const served: BridgeServeOptions[] = [];
  let [out, error] = ["", ""];
  const record =
    <Options>(list: Options[]) =>
    async (options: Options) => {
      list.push(options);
      return exitCodes.failed;
    };
  const exitCode = await runCommandLine(given, {
    quickstart: record(asked),
    parity: record(compared),
    bridgeKeys: record(keys),
    bridgeServe: record(served),
    writeOut: (text) => {
      out += text;
    },
    writeError: (text) => {
      error += text;
    },
  });
  return { exitCode, asked, compared, keys, served, out, error };
}

describe("quickstart", () => {
  it("has defaults, and hands the command's exit status on", async () => {
    expect(await run("quickstart")).toMatchObject({ exitCode: 1, asked: [quickstartDefaults], out: "", error: "" });
  });

  it("takes every option", async () => {
    const { asked } = await run(
      ..."quickstart --model m --data d.csv --output-dir o --max-steps 7 --batch-size 64 --mini-batch-size 16".split(
        " ",
      ),
      ..."--bank-capacity 512 --learning-rate 2e-5 --train-pairs 1000 --threads 3 --no-parity --json".split(" "),
    );
    expect(asked).toEqual([
      {
        model: "m",
        data: "d.csv",
        outputDir: "o",
        maxSteps: 7,
        batchSize: 64,
        miniBatchSize: 16,
        bankCapacity: 512,
        learningRate: 2e-5,
        trainPairs: 1000,
        threads: 3,
        parity: false,
        json: true,
      },
    ]);
  });

  it.each(["--max-steps", "--batch-size", "--mini-batch-size", "--bank-capacity", "--train-pairs", "--threads"])(
    "refuses what is no count for %s",
    async (option) => {
      for (const value of ["0", "-1", "1.5", "many", "", "1e3", "99999999999"]) {
        const { exitCode, asked, error } = await run("quickstart", option, value);
        expect([exitCode, asked]).toEqual([exitCodes.wrongUsage, []]);
        expect(error).toContain(option);
        expect(error).toContain(`'${value}'`);
        expect(error).toContain("whole number of at least 1");
      }
    },
  );

  it("refuses what is no learning rate", async () => {
    for (const value of ["0", "-1e-4", "fast", "", "2", "Infinity"]) {
      const { exitCode, asked, error } = await run("quickstart", "--learning-rate", value);
      expect([exitCode, asked]).toEqual([exitCodes.wrongUsage, []]);
      expect(error).toContain("above 0 and at most 1");
    }
  });

  it("refuses options and arguments that it does not know, and says what was meant", async () => {
    const unknown = await run("quickstart", "--batchsize", "3");
    expect([unknown.exitCode, unknown.asked, unknown.out]).toEqual([exitCodes.wrongUsage, [], ""]);
    expect(unknown.error).toContain("unknown option '--batchsize'");
    expect(unknown.error).toContain("--batch-size");
    expect((await run("quickstart", "--model")).exitCode).toBe(exitCodes.wrongUsage);
    expect((await run("quickstart", "surplus")).exitCode).toBe(exitCodes.wrongUsage);
    const command = await run("quickstar");
    expect(command.exitCode).toBe(exitCodes.wrongUsage);
    expect(command.error).toContain("quickstart");
  });
});

describe("parity", () => {
  it("has defaults, and hands the command's exit status on", async () => {
    expect(await run("parity")).toMatchObject({ exitCode: 1, compared: [parityDefaults], out: "", error: "" });
  });

  it("takes every option", async () => {
    const { compared, error } = await run(
      ..."parity losses my.yaml --list --case a --case b --set loss.scale=10 --set seed=7 --steps 2".split(" "),
      ..."--reference a/loss.py:Mine --reference-option scale=10 --reference-option mode=joint".split(" "),
      ..."--report out --json --export-golden golden --python py --threads 3 --tensors all".split(" "),
      ..."--save-tensors tensors --fail-fast".split(" "),
    );
    expect(error).toBe("");
    expect(compared).toEqual([
      {
        suites: ["losses", "my.yaml"],
        all: false,
        list: true,
        cases: ["a", "b"],
        overrides: ["loss.scale=10", "seed=7"],
        steps: 2,
        reference: "a/loss.py:Mine",
        referenceOptions: { scale: 10, mode: "joint" },
        report: "out",
        json: true,
        exportGolden: "golden",
        importGolden: undefined,
        python: "py",
        connect: undefined,
        keys: undefined,
        threads: 3,
        tensors: "all",
        saveTensors: "tensors",
        failFast: true,
      },
    ]);
    const other = await run(..."parity --all --connect tcp://a:1 --keys client.keys".split(" "));
    expect(other.compared).toEqual([{ ...parityDefaults, all: true, connect: "tcp://a:1", keys: "client.keys" }]);
    const golden = await run("parity", "--import-golden", "golden", "--reference", "ContAccum");
    expect(golden.compared).toEqual([{ ...parityDefaults, importGolden: "golden", reference: "ContAccum" }]);
  });

  it("gives Python what JSON says, and anything else as text", async () => {
    const value = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }).map((given) => [JSON.stringify(given), given] as const),
      fc.constantFrom(["cos_sim", "cos_sim"], ["a=b", "a=b"], ["", ""], ["1,2", "1,2"]),
    );
    await fc.assert(
      fc.asyncProperty(value, async ([text, expected]) => {
        const { compared } = await run("parity", "--reference", "ContAccum", "--reference-option", `name=${text}`);
        // What JSON cannot tell apart, such as -0, is read back before it is compared.
        expect(compared[0]!.referenceOptions).toEqual({ name: JSON.parse(JSON.stringify(expected)) });
      }),
      { numRuns: 30 },
    );
  });

  it.each([
    ["--steps", "0", "whole number of at least 1"],
    ["--threads", "x", "whole number of at least 1"],
    ["--set", "loss.scale", "name=value"],
    ["--set", "=3", "name=value"],
    ["--set", "loss..scale=3", "name=value"],
    ["--reference", "MyLoss", "file.py:ClassName"],
    ["--reference", "loss.py", "file.py:ClassName"],
    ["--reference", "loss.py:My Loss", "file.py:ClassName"],
    ["--reference-option", "scale", "name=value"],
    ["--reference-option", "a.b=1", "name=value"],
    ["--tensors", "some", "small, all"],
    ["--case", "", "not empty"],
    ["--report", " ", "not empty"],
    ["--export-golden", "", "not empty"],
    ["--import-golden", "", "not empty"],
    ["--save-tensors", "", "not empty"],
    ["--python", "", "not empty"],
    ["--connect", "", "not empty"],
    ["--keys", "", "not empty"],
  ])("refuses %s %j", async (option, value, expected) => {
    const { exitCode, compared, error } = await run("parity", option, value);
    expect([exitCode, compared]).toEqual([exitCodes.wrongUsage, []]);
    expect(error).toContain(option);
    expect(error).toContain(expected);
  });

  it.each([
    ["--import-golden a --export-golden b", "--export-golden"],
    ["--import-golden a --python b", "--python"],
    ["--import-golden a --connect ipc://b", "--connect"],
    ["--import-golden a --connect ipc://b --keys c", "--connect"],
    ["--connect ipc://a --python b", "--python"],
    ["--keys a", "--connect"],
    ["--reference-option a=1", "--reference"],
    ["losses --all", "losses"],
    ["--no-such-option", "unknown option"],
    ["--report", "argument missing"],
  ])("refuses what does not go together: %s", async (given, expected) => {
    const { exitCode, compared, error } = await run("parity", ...given.split(" "));
    expect([exitCode, compared]).toEqual([exitCodes.wrongUsage, []]);
    expect(error).toContain(expected);
  });

  it("refuses a suite without a name", async () => {
    expect((await run("parity", "quick", "")).exitCode).toBe(exitCodes.wrongUsage);
  });

  it("tells its exit statuses and examples on request", async () => {
    const { exitCode, out } = await run("parity", "--help");
    expect(exitCode).toBe(exitCodes.done);
    for (const part of [
      "0    equal",
      "1    different",
      "2    could not compare",
      "--reference-option <name=value>",
      "repeatable",
      "gradbank parity --all --import-golden golden",
      "NO_COLOR",
    ])
      expect(out).toContain(part);
  });
});

describe("bridge", () => {
  it("makes keys", async () => {
    expect(await run("bridge", "keys", "--output", "folder")).toMatchObject({
      exitCode: 1,
      keys: [{ output: "folder" }],
      error: "",
    });
  });

  it("serves", async () => {
    expect((await run("bridge", "serve", "--endpoint", "ipc:///tmp/a")).served).toEqual([{ endpoint: "ipc:///tmp/a" }]);
    const { served } = await run(
      ..."bridge serve --endpoint tcp://*:7 --keys server.keys --python py --threads 2".split(" "),
    );
    expect(served).toEqual([{ endpoint: "tcp://*:7", keys: "server.keys", python: "py", threads: 2 }]);
  });

  it.each([
    ["keys", "--output <folder>"],
    ["keys surplus --output a", "too many arguments"],
    ["serve", "--endpoint <endpoint>"],
    ["serve --endpoint a --threads 0", "whole number"],
    ["serv", "serve"],
  ])("refuses bridge %s", async (given, expected) => {
    const { exitCode, keys, served, error } = await run("bridge", ...given.split(" "));
    expect([exitCode, keys, served]).toEqual([exitCodes.wrongUsage, [], []]);
    expect(error).toContain(expected);
  });

  it("shows its commands when none is named", async () => {
    const { exitCode, error } = await run("bridge");
    expect(exitCode).toBe(exitCodes.wrongUsage);
    for (const command of ["keys", "serve"]) expect(error).toContain(command);
  });
});

it("tells options, their defaults and exit statuses on request", async () => {
  const { exitCode, out, error } = await run("quickstart", "--help");
  expect([exitCode, error]).toEqual([exitCodes.done, ""]);
  for (const part of [
    "--mini-batch-size <rows>",
    "(default: 128)",
    "(default: 1e-4)",
    "runs/quickstart",
    "130",
    "NO_COLOR",
  ])
    expect(out).toContain(part);
  const { out: all } = await run("--help");
  for (const command of ["quickstart", "parity", "bridge"]) expect(all).toContain(command);
});

it("tells its version", async () => {
  const { exitCode, out } = await run("--version");
  expect(exitCode).toBe(exitCodes.done);
  expect(out).toMatch(/^\d+\.\d+\.\d+\n$/);
});

it("shows what there is when no command is named", async () => {
  const { exitCode, error } = await run();
  expect(exitCode).toBe(exitCodes.wrongUsage);
  expect(error).toContain("quickstart");
});
