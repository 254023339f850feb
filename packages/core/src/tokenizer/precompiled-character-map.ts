import { ModelFolderError } from "../errors.ts";

/**
 * SentencePiece's precompiled character map (for instance nmt_nfkc): a double-array trie from UTF-8 byte sequences to
 * replacement texts.
 *
 * Layout: the trie's size in bytes (uint32, little-endian), its units (uint32 each), then the replacements, UTF-8,
 * each ended by a zero byte. A unit holds label, offset and a leaf mark (Darts-clone).
 */
export class PrecompiledCharacterMap {
  private readonly units: Uint32Array;
  private readonly replacements: Uint8Array;
  private readonly known = new Map<string, string | null>();
  /** True when the map leaves blanks, letters, digits and punctuation of ASCII alone, as all maps in use do. */
  private readonly keepsPrintableAscii: boolean;
  private readonly graphemes = new Intl.Segmenter("und", { granularity: "grapheme" });

  /** @throws ModelFolderError `unsupported-tokenizer` when the bytes are no such map. */
  constructor(bytes: Uint8Array) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const size = bytes.byteLength >= 4 ? view.getUint32(0, true) : -1;
    if (size < 4 || size % 4 !== 0 || size > bytes.byteLength - 4) {
      throw new ModelFolderError(
        "unsupported-tokenizer",
        `tokenizer.json holds a precompiled character map of ${bytes.byteLength} bytes whose trie claims ${size} bytes. ` +
          "Restore tokenizer.json from where the model came from.",
        { bytes: bytes.byteLength, trieBytes: size },
      );
    }
    this.units = Uint32Array.from({ length: size / 4 }, (_, index) => view.getUint32(4 + 4 * index, true));
    this.replacements = bytes.subarray(4 + size);
    this.keepsPrintableAscii = Array.from({ length: 95 }, (_, index) =>
      this.lookUp(String.fromCharCode(32 + index)),
    ).every((replacement) => replacement === null);
  }

  /**
   * Replaces what the map knows: whole grapheme clusters shorter than 6 bytes first, else their code points one by one.
   * The order, odd as it is, is that of the Rust package `spm_precompiled`, which the Python tokenizers use.
   */
  normalize(text: string): string {
    if (this.keepsPrintableAscii && /^[ -~]*$/.test(text)) return text;
    let result = "";
    for (const { segment } of this.graphemes.segment(text)) {
      const whole = Buffer.byteLength(segment) < 6 ? this.lookUp(segment) : null;
      if (whole !== null) {
        result += whole;
      } else {
        for (const character of segment) result += this.lookUp(character) ?? character;
      }
    }
    return result;
  }

  private lookUp(key: string): string | null {
    let found = this.known.get(key);
    if (found === undefined) {
      found = this.search(Buffer.from(key));
      this.known.set(key, found);
    }
    return found;
  }

  /** The replacement of the shortest prefix of `key` that the trie holds. */
  private search(key: Uint8Array): string | null {
    let position = offsetOf(this.units[0]!);
    for (const byte of key) {
      if (byte === 0) return null;
      position ^= byte;
      const unit = this.units[position];
      if (unit === undefined || (unit & 0x800000ff) >>> 0 !== byte) return null;
      position ^= offsetOf(unit);
      if ((unit >>> 8) & 1) {
        const start = (this.units[position] ?? 0) & 0x7fffffff;
        const end = this.replacements.indexOf(0, start);
        return new TextDecoder().decode(this.replacements.subarray(start, end < 0 ? undefined : end));
      }
    }
    return null;
  }
}

function offsetOf(unit: number): number {
  return ((unit >>> 10) << ((unit & 0x200) >>> 6)) >>> 0;
}
