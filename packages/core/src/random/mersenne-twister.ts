import { OptionError } from "../errors.ts";

const stateLength = 624;
const shiftLength = 397;

/**
 * The 32-bit Mersenne Twister MT19937 (Matsumoto and Nishimura 1998), seeded like torch's CPU generator:
 * `torch.Generator().manual_seed(seed)` keeps the lowest 32 bits of the seed and fills the state from them.
 */
export class MersenneTwister {
  readonly #state = new Uint32Array(stateLength);
  #position = stateLength;

  /** @param seed A whole number from 0 to 2^53 - 1. Throws OptionError for anything else. */
  constructor(seed: number) {
    checkSeed(seed, "MersenneTwister");
    const state = this.#state;
    state[0] = seed % 2 ** 32;
    for (let index = 1; index < stateLength; index++) {
      const previous = state[index - 1]! ^ (state[index - 1]! >>> 30);
      state[index] = Math.imul(1812433253, previous) + index;
    }
  }

  /** The next number, uniform over 0 ... 2^32 - 1. */
  nextUint32(): number {
    if (this.#position === stateLength) this.#renew();
    let value = this.#state[this.#position++]!;
    value ^= value >>> 11;
    value ^= (value << 7) & 0x9d2c5680;
    value ^= (value << 15) & 0xefc60000;
    value ^= value >>> 18;
    return value >>> 0;
  }

  /**
   * The numbers 0 ... length - 1 in the order of `torch.randperm(length, generator=generator)` on CPU: the shuffle of
   * Fisher and Yates, with one 32-bit draw a place. Drawing again continues the stream.
   *
   * @param length A whole number from 0 to 214,748,363: from there on torch draws 64-bit numbers instead.
   */
  permutation(length: number): Int32Array {
    if (!Number.isInteger(length) || length < 0 || length >= longestPermutation) {
      throw new OptionError(
        "invalid-option",
        `MersenneTwister.permutation: length is ${length}; expected a whole number from 0 to ${longestPermutation - 1}.`,
        { option: "length", found: length },
      );
    }
    const order = new Int32Array(length);
    for (let index = 0; index < length; index++) order[index] = index;
    for (let index = 0; index < length - 1; index++) {
      const other = index + (this.nextUint32() % (length - index));
      const value = order[index]!;
      order[index] = order[other]!;
      order[other] = value;
    }
    return order;
  }

  #renew(): void {
    const state = this.#state;
    for (let index = 0; index < stateLength; index++) {
      const joined = (state[index]! & 0x80000000) | (state[(index + 1) % stateLength]! & 0x7fffffff);
      const twist = (joined >>> 1) ^ (joined & 1 ? 0x9908b0df : 0);
      state[index] = state[(index + shiftLength) % stateLength]! ^ twist;
    }
    this.#position = 0;
  }
}

const longestPermutation = Math.floor((2 ** 32 - 1) / 20);

/**
 * The numbers 0 ... length - 1 in the order of
 * `torch.randperm(length, generator=torch.Generator().manual_seed(seed))` on CPU.
 *
 * @param length A whole number from 0 to 214,748,363.
 * @param seed A whole number from 0 to 2^53 - 1.
 */
export function torchRandperm(length: number, seed: number): Int32Array {
  return new MersenneTwister(seed).permutation(length);
}

/** Throws OptionError unless the seed is a whole number that a double holds exactly. */
export function checkSeed(seed: number, where: string): void {
  if (Number.isSafeInteger(seed) && seed >= 0) return;
  throw new OptionError(
    "invalid-option",
    `${where}: seed is ${seed}; expected a whole number from 0 to ${Number.MAX_SAFE_INTEGER}.`,
    { option: "seed", found: seed },
  );
}
