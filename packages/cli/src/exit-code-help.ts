const environment = `
Environment:
  NO_COLOR   no colours
  CI         plain lines instead of a progress line
  HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE   as Python's huggingface_hub has them
`;

/** What help says below the options: exit statuses and environment. */
export const exitCodeHelp = {
  program: `
Exit status:
  0    done
  1    something failed, or a comparison with Python was not equal
  2    wrong usage; for parity also: could not compare
  130  interrupted
${environment}`,
  quickstart: `
Exit status:
  0    done; or stopped on request, with the model saved
  1    something failed, or a comparison with Python was not equal
  2    wrong usage
  130  interrupted before there was anything to save, or twice
${environment}`,
  parity: `
Exit status:
  0    equal: every stage of every step
  1    different
  2    could not compare: no Python, a model that cannot be loaded, a mistake in a suite file; or wrong usage
  130  interrupted with no difference so far, or twice
${environment}`,
} as const;
