import { checkpointRun } from "./checkpoint-run.ts";

// Begins or goes on with the run that the parent describes, until it ends or the parent kills it.
await checkpointRun(JSON.parse(process.argv[2]!));
