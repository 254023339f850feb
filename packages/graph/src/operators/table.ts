import type { AnyOperator } from "../operator.ts";
import * as elementwise from "./elementwise.ts";
import * as linearAlgebra from "./linear-algebra.ts";
import * as normalization from "./normalization.ts";
import * as packing from "./packing.ts";
import * as reduction from "./reduction.ts";
import * as selection from "./selection.ts";
import * as shaping from "./shaping.ts";

/** Every operator by name. */
export const operatorTable: ReadonlyMap<string, AnyOperator> = new Map(
  [elementwise, linearAlgebra, normalization, packing, reduction, selection, shaping]
    .flatMap((family) => Object.entries(family))
    .filter(([name]) => name.endsWith("Operator"))
    .map(([, operator]) => [(operator as AnyOperator).name, operator as AnyOperator]),
);
