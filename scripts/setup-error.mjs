/**
 * Set-up cannot go on, and a person can do something about it: the message says what was found, what was expected
 * and what to do next. Codes: "npm-missing", "python-missing", "python-unusable", "registry-unreachable",
 * "step-failed", "interrupted", "repository-incomplete".
 */
export class SetupError extends Error {
  /**
   * @param {string} code
   * @param {string} message
   */
  constructor(code, message) {
    super(message);
    this.name = "SetupError";
    this.code = code;
  }
}
