import { stripVTControlCharacters } from "node:util";

const heartbeatSeconds = 15;

const isTerminal = process.stderr.isTTY === true && process.env.TERM !== "dumb" && !process.env.CI;
const isColored = isTerminal && !process.env.NO_COLOR;

/** @param {string} text */
const green = (text) => (isColored ? `\u001b[32m${text}\u001b[39m` : text);
/** @param {string} text */
const red = (text) => (isColored ? `\u001b[31m${text}\u001b[39m` : text);
/** @param {string} text */
const dim = (text) => (isColored ? `\u001b[2m${text}\u001b[22m` : text);

/**
 * Seconds as a person reads them: "4 s", "2 min 05 s".
 *
 * @param {number} seconds
 */
export function formatSeconds(seconds) {
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
}

/**
 * A line of its own, on standard error, so that standard output stays for results.
 *
 * @param {string} text
 */
export function say(text) {
  process.stderr.write(`${text}\n`);
}

/**
 * Shows one long step: on a terminal a line that counts the seconds and shows the step's last output, elsewhere a line
 * at the start, one every 15 s and one at the end.
 *
 * @template Result
 * @param {string} title what is being done, as "Installing npm packages"
 * @param {(showOutput: (line: string) => void) => Promise<Result>} step
 * @returns {Promise<Result>}
 */
export async function withProgress(title, step) {
  const start = Date.now();
  let lastOutput = "";
  const elapsed = () => (Date.now() - start) / 1000;
  const draw = () => {
    // Some terminals say that they have 0 columns.
    const columns = process.stderr.columns || 80;
    const head = `${title} ... ${formatSeconds(elapsed())}  `.slice(0, columns - 1);
    const room = columns - 1 - head.length;
    process.stderr.write(`\r\u001b[2K${head}${dim(lastOutput.slice(0, room))}`);
  };
  const timer = isTerminal
    ? setInterval(draw, 250)
    : setInterval(
        () => say(`  ... ${formatSeconds(elapsed())}${lastOutput ? `: ${lastOutput.slice(0, 160)}` : ""}`),
        heartbeatSeconds * 1000,
      );
  if (isTerminal) {
    draw();
  } else {
    say(`${title} ...`);
  }
  const finish = (/** @type {string} */ mark, /** @type {string} */ end) => {
    clearInterval(timer);
    say(`${isTerminal ? "\r\u001b[2K" : ""}${mark}${title}: ${end} ${formatSeconds(elapsed())}`);
  };
  try {
    const result = await step((line) => {
      lastOutput = stripVTControlCharacters(line).trim() || lastOutput;
    });
    finish(isTerminal ? `${green("✓")} ` : "", "done in");
    return result;
  } catch (error) {
    finish(isTerminal ? `${red("✗")} ` : "", "stopped after");
    throw error;
  }
}
