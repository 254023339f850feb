import { OptionError } from "../errors.ts";
import { checkSeed } from "./mersenne-twister.ts";

const poolLength = 4;
const multiplier = 0x2360ed051fc65da44385df649fccf645n;

/**
 * The state words that numpy's `SeedSequence(seed).generate_state(count, uint32)` gives: the seed's 32-bit words are
 * hashed into a pool of four, and the pool is hashed out again (O'Neill, "Developing a seed_seq alternative", 2015).
 */
function seedSequence(seed: number, count: number): Uint32Array {
  const entropy = [seed % 2 ** 32];
  if (seed >= 2 ** 32) entropy.push(Math.floor(seed / 2 ** 32));

  let constant = 0x43b0d7e5;
  const hash = (value: number): number => {
    const started = value ^ constant;
    constant = Math.imul(constant, 0x931e8875);
    const hashed = Math.imul(started, constant);
    return hashed ^ (hashed >>> 16);
  };
  const mix = (left: number, right: number): number => {
    const mixed = Math.imul(0xca01f9dd, left) - Math.imul(0x4973f715, right);
    return mixed ^ (mixed >>> 16);
  };

  const pool = new Uint32Array(poolLength);
  for (let index = 0; index < poolLength; index++) pool[index] = hash(entropy[index] ?? 0);
  for (let source = 0; source < poolLength; source++) {
    for (let target = 0; target < poolLength; target++) {
      if (source !== target) pool[target] = mix(pool[target]!, hash(pool[source]!));
    }
  }

  constant = 0x8b51f9dd;
  const words = new Uint32Array(count);
  for (let index = 0; index < count; index++) {
    const started = pool[index % poolLength]! ^ constant;
    constant = Math.imul(constant, 0x58f38ded);
    const hashed = Math.imul(started, constant);
    words[index] = hashed ^ (hashed >>> 16);
  }
  return words;
}

/**
 * The permuted congruential generator PCG XSL RR 128/64 (O'Neill 2014), seeded like `numpy.random.default_rng(seed)`,
 * with numpy's order of draws.
 */
export class Pcg64 {
  #state: bigint;
  readonly #increment: bigint;
  #heldUint32: number | undefined;

  /** @param seed A whole number from 0 to 2^53 - 1. Throws OptionError for anything else. */
  constructor(seed: number) {
    checkSeed(seed, "Pcg64");
    const words = seedSequence(seed, 8);
    const word64 = (index: number): bigint => (BigInt(words[2 * index + 1]!) << 32n) | BigInt(words[2 * index]!);
    const start = (word64(0) << 64n) | word64(1);
    const stream = (word64(2) << 64n) | word64(3);
    this.#increment = BigInt.asUintN(128, (stream << 1n) | 1n);
    this.#state = this.#step(BigInt.asUintN(128, this.#increment + start));
  }

  /** The next number, uniform over 0 ... 2^64 - 1. */
  nextUint64(): bigint {
    this.#state = this.#step(this.#state);
    const folded = BigInt.asUintN(64, this.#state >> 64n) ^ BigInt.asUintN(64, this.#state);
    const rotation = this.#state >> 122n;
    return BigInt.asUintN(64, (folded >> rotation) | (folded << (64n - rotation)));
  }

  /** The next number, uniform over 0 ... 2^32 - 1: the lower half of a 64-bit draw, then its upper half. */
  nextUint32(): number {
    if (this.#heldUint32 !== undefined) {
      const held = this.#heldUint32;
      this.#heldUint32 = undefined;
      return held;
    }
    const value = this.nextUint64();
    this.#heldUint32 = Number(value >> 32n);
    return Number(BigInt.asUintN(32, value));
  }

  /**
   * The numbers 0 ... length - 1 in the order of `default_rng(seed).permutation(length)`. Drawing again continues
   * the stream.
   *
   * @param length A whole number from 0 to 2^31 - 1.
   */
  permutation(length: number): Int32Array {
    if (!Number.isInteger(length) || length < 0 || length > 2 ** 31 - 1) {
      throw new OptionError(
        "invalid-option",
        `Pcg64.permutation: length is ${length}; expected a whole number from 0 to ${2 ** 31 - 1}.`,
        { option: "length", found: length },
      );
    }
    const order = new Int32Array(length);
    for (let index = 0; index < length; index++) order[index] = index;
    for (let index = length - 1; index > 0; index--) {
      const other = this.#below(index);
      const value = order[index]!;
      order[index] = order[other]!;
      order[other] = value;
    }
    return order;
  }

  /** Uniform over 0 ... highest: draws under the smallest all-ones mask that covers it until one fits. */
  #below(highest: number): number {
    const mask = 0xffffffff >>> Math.clz32(highest);
    for (;;) {
      const value = (this.nextUint32() & mask) >>> 0;
      if (value <= highest) return value;
    }
  }

  #step(state: bigint): bigint {
    return BigInt.asUintN(128, state * multiplier + this.#increment);
  }
}
