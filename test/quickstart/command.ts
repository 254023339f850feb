import { spawn } from "node:child_process";
import { join } from "node:path";

const root = join(import.meta.dirname, "..", "..");

/** A command that has ended. */
export interface EndedCommand {
  readonly exitCode: number | null;
  readonly out: string;
  readonly error: string;
}

/** A command that runs. */
export interface RunningCommand {
  /** Waits until standard output contains a text; throws when the command ends before. */
  waitFor(text: string): Promise<void>;
  kill(signal: NodeJS.Signals): void;
  readonly ended: Promise<EndedCommand>;
}

/** Starts `gradbank` from its sources. */
export function startCommand(...given: string[]): RunningCommand {
  const main = join(root, "packages", "cli", "src", "main.ts");
  const child = spawn(process.execPath, ["--import", "tsx", "--conditions=@gradbank/source", main, ...given], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [out, error] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    error += text;
  });
  const ended = new Promise<EndedCommand>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (exitCode) => resolve({ exitCode, out, error }));
  });
  return {
    ended,
    kill: (signal) => void child.kill(signal),
    waitFor: (text) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (!out.includes(text)) return;
          child.stdout.off("data", look);
          resolve();
        };
        child.stdout.on("data", look);
        look();
        void ended.then(
          () => reject(new Error(`The command ended without writing "${text}":\n${out}\n${error}`)),
          reject,
        );
      }),
  };
}

/** Runs `gradbank` to its end. */
export function runCommand(...given: string[]): Promise<EndedCommand> {
  return startCommand(...given).ended;
}
