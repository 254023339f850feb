import { describe, expect, it } from "vitest";
import { runCommandLine } from "./command-line.ts";
import { exitCodes } from "./exit-codes.ts";
import { type QuickstartOptions, quickstartDefaults } from "./quickstart-options.ts";

async function run(...given: string[]) {
  const asked: QuickstartOptions[] = [];
  let [out, error] = ["", ""];
  const exitCode = await runCommandLine(given, {
    quickstart: async (options) => {
      asked.push(options);
      return exitCodes.failed;
    },
    writeOut: (text) => {
      out += text;
    },
    writeError: (text) => {
      error += text;
    },
  });
  return { exitCode, asked, out, error };
}

describe("quickstart", () => {
  it("has defaults, and hands the command's exit status on", async () => {
    expect(await run("quickstart")).toEqual({ exitCode: 1, asked: [quickstartDefaults], out: "", error: "" });
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
  expect((await run("--help")).out).toContain("quickstart");
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
