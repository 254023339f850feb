// Imported first by every entry script: nothing else may run, or use newer syntax, before the version is known.

const lowest = [20, 19];

/**
 * Whether a Node version can run gradbank: 20.19 or newer.
 *
 * @param {string} version as `process.versions.node` has it, for example "20.19.0"
 */
export function isSupportedNodeVersion(version) {
  const [major, minor] = version.split(".").map(Number);
  return major > lowest[0] || (major === lowest[0] && minor >= lowest[1]);
}

if (!isSupportedNodeVersion(process.versions.node)) {
  console.error(
    `gradbank needs Node ${lowest.join(".")} or newer; this is Node ${process.versions.node} (${process.execPath}).\n` +
      "Install a current long-term-support Node (nvm install --lts, brew install node, winget install OpenJS.NodeJS.LTS)\n" +
      "and run the same command again.",
  );
  process.exit(1);
}
