import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { runLogged } from "./processes.mjs";
import { withProgress } from "./progress.mjs";
import { npmNetworkFailure, withoutCredentials } from "./registry-failure.mjs";
import { repositoryRoot, setupLogFolder } from "./repository.mjs";
import { SetupError } from "./setup-error.mjs";

const stampFile = join(repositoryRoot, "node_modules", ".gradbank-setup.json");

/**
 * @typedef {{ version?: string, link?: boolean, optional?: boolean, devOptional?: boolean, peer?: boolean, inBundle?: boolean }} LockedPackage
 * @typedef {{ packages?: Record<string, LockedPackage> }} LockFile
 */

/**
 * What an installed tree lacks or has in another version than the lock file says. Optional packages may be absent:
 * they are for other platforms.
 *
 * @param {LockFile} wanted package-lock.json
 * @param {LockFile} installed node_modules/.package-lock.json, which npm writes when an installation is complete
 * @returns {string[]} one "folder: wanted version, installed version" a difference
 */
export function differencesFromLockFile(wanted, installed) {
  const differences = [];
  for (const [folder, entry] of Object.entries(wanted.packages ?? {})) {
    if (!folder.startsWith("node_modules/") && !folder.includes("/node_modules/")) {
      continue;
    }
    const found = installed.packages?.[folder];
    if (found === undefined && (entry.optional || entry.devOptional || entry.peer)) {
      continue;
    }
    if (found === undefined || (!entry.link && found.version !== entry.version)) {
      differences.push(`${folder}: ${entry.version ?? "link"} wanted, ${found?.version ?? "nothing"} installed`);
    }
  }
  return differences;
}

/** @returns {{ command: string, leading: string[], shell: boolean }} how to start npm */
function findNpm() {
  const beside = dirname(process.execPath);
  const places = [
    process.env.npm_execpath,
    join(beside, "node_modules", "npm", "bin", "npm-cli.js"),
    join(beside, "..", "lib", "node_modules", "npm", "bin", "npm-cli.js"),
  ];
  for (const place of places) {
    if (place?.endsWith("npm-cli.js") && existsSync(place)) {
      return { command: process.execPath, leading: [place], shell: false };
    }
  }
  // On Windows npm is a .cmd file, which only a shell starts.
  const shell = process.platform === "win32";
  const probe = spawnSync("npm", ["--version"], { encoding: "utf8", shell });
  if (probe.status !== 0) {
    throw new SetupError(
      "npm-missing",
      `npm was found neither beside Node (${process.execPath}) nor on the PATH.\n` +
        "It comes with Node; some distributions pack it apart (Debian, Ubuntu: sudo apt install npm). Install it and run the same command again.",
    );
  }
  return { command: "npm", leading: [], shell };
}

function stampOfNow() {
  const lockFile = join(repositoryRoot, "package-lock.json");
  if (!existsSync(lockFile)) {
    throw new SetupError(
      "repository-incomplete",
      `${lockFile} is missing, so the versions to install are unknown. Check out the repository again (git checkout -- package-lock.json).`,
    );
  }
  const text = readFileSync(lockFile, "utf8");
  const hash = createHash("sha256").update(text).digest("hex");
  return { text, stamp: JSON.stringify({ lockFile: hash, platform: process.platform, architecture: process.arch }) };
}

/**
 * Installs the npm packages of package-lock.json with `npm ci`, unless exactly those are installed already.
 *
 * Complete installations are remembered by a stamp inside node_modules that is written last; an installation that npm
 * itself completed counts as well. Throws `SetupError`: "npm-missing", "registry-unreachable", "step-failed",
 * "interrupted", "repository-incomplete".
 *
 * @returns {Promise<boolean>} whether anything was installed
 */
export async function installJavaScriptPackages() {
  const { text, stamp } = stampOfNow();
  if (existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp) {
    return false;
  }
  const installedLockFile = join(repositoryRoot, "node_modules", ".package-lock.json");
  if (existsSync(installedLockFile)) {
    const installed = JSON.parse(readFileSync(installedLockFile, "utf8"));
    if (differencesFromLockFile(JSON.parse(text), installed).length === 0) {
      writeFileSync(stampFile, stamp);
      return false;
    }
  }
  const npm = findNpm();
  // Both say "complete", which stops being true the moment npm ci starts to delete.
  rmSync(stampFile, { force: true });
  rmSync(installedLockFile, { force: true });
  const environment = { ...process.env };
  environment.ONNXRUNTIME_NODE_INSTALL ??= "skip";
  const logFile = join(setupLogFolder, "npm-ci.log");
  await withProgress("Installing npm packages", async (showOutput) => {
    const run = await runLogged(
      npm.command,
      // One retry: on an unreachable registry npm's default of two means minutes of silence.
      [...npm.leading, "ci", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=1", "--loglevel=http"],
      { cwd: repositoryRoot, environment, logFile, shell: npm.shell, showOutput },
    );
    if (run.code !== 0) {
      throw installationError(run.output, npm, logFile);
    }
  });
  writeFileSync(stampFile, stamp);
  return true;
}

/**
 * Where npm looked for packages: the address of the failed request, else the one that npm is configured for.
 *
 * @param {string} output
 * @param {{ command: string, leading: string[], shell: boolean }} npm
 */
function npmRegistry(output, npm) {
  const failed = output.match(/request to (https?:\/\/\S+) failed/)?.[1];
  if (failed !== undefined) {
    return new URL(failed).origin;
  }
  const asked = spawnSync(npm.command, [...npm.leading, "config", "get", "registry"], {
    cwd: repositoryRoot,
    encoding: "utf8",
    shell: npm.shell,
  });
  // npm keeps an address that holds a password to itself.
  return asked.status === 0 ? withoutCredentials(asked.stdout.trim()) || undefined : undefined;
}

/**
 * @param {string} output
 * @param {{ command: string, leading: string[], shell: boolean }} npm
 * @param {string} logFile
 */
function installationError(output, npm, logFile) {
  const network = npmNetworkFailure(output);
  const tail =
    output
      .split("\n")
      .filter((line) => line.includes("npm error"))
      .slice(-12)
      .join("\n") || output.split("\n").slice(-12).join("\n");
  if (network !== undefined) {
    const registry = npmRegistry(output, npm);
    return new SetupError(
      "registry-unreachable",
      `The npm registry${registry === undefined ? "" : ` ${registry}`} could not be used (${network}), and the npm cache does not hold all packages.\n` +
        "Check the network connection, then run the same command again. Behind a proxy: set HTTPS_PROXY. With a mirror of\n" +
        `your own: set npm_config_registry to its address.\n\n${withoutCredentials(tail)}\n\nThe whole output: ${logFile}`,
    );
  }
  return new SetupError(
    "step-failed",
    `npm ci failed. Its last words:\n\n${withoutCredentials(tail)}\n\nThe whole output: ${logFile}`,
  );
}
