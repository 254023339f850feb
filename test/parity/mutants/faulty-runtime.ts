import type { Program, Runtime, Tensor } from "@gradbank/core";
import type { Graph, Value } from "@gradbank/graph";

/** Faults of compiled programs. */
export interface RuntimeFaults {
  /** Graphs that they concern, by name. Default: all. */
  readonly programs?: RegExp;
  /** Changes a graph before it is compiled. */
  readonly graph?: (graph: Graph) => void;
  readonly inputs?: (inputs: Readonly<Record<string, Tensor>>) => Readonly<Record<string, Tensor>>;
  readonly outputs?: (
    outputs: Record<string, Tensor>,
    inputs: Readonly<Record<string, Tensor>>,
  ) => Record<string, Tensor>;
}

/** A runtime whose programs have faults. */
export function faultyRuntime(runtime: Runtime, { programs, graph: change, inputs, outputs }: RuntimeFaults): Runtime {
  return {
    device: runtime.device,
    compile: async (graph: Graph, results: Readonly<Record<string, Value>>): Promise<Program> => {
      if (programs && !programs.test(graph.name)) return runtime.compile(graph, results);
      change?.(graph);
      const program = await runtime.compile(graph, results);
      return {
        name: program.name,
        inputs: program.inputs,
        outputs: program.outputs,
        release: () => program.release(),
        run: async (given) => {
          const taken = inputs ? inputs(given) : given;
          const made = await program.run(taken);
          return outputs ? outputs(made, taken) : made;
        },
      };
    },
  };
}
