/**
 * The best documents of every query, kept while scores come in block by block. The order is score descending, then rank
 * ascending, also at the cut-off: which documents are kept does not depend on the blocks.
 */
export class TopHits {
  readonly #capacity: number;
  readonly #ranks: Int32Array;
  readonly #counts: Int32Array;
  // One heap a query, its worst document at the root.
  readonly #scores: Float32Array;
  readonly #documents: Int32Array;

  /**
   * @param queries The number of queries.
   * @param capacity The documents kept for each query.
   * @param ranks The rank of every document among documents of the same score, each rank once.
   */
  constructor(queries: number, capacity: number, ranks: Int32Array) {
    this.#capacity = Math.min(capacity, ranks.length);
    this.#ranks = ranks;
    this.#counts = new Int32Array(queries);
    this.#scores = new Float32Array(queries * this.#capacity);
    this.#documents = new Int32Array(queries * this.#capacity);
  }

  /**
   * Offers the scores of consecutive documents for one query.
   *
   * @param scores Holds the scores from `start` to `end`; none of them is NaN.
   * @param firstDocument The document of the first score.
   */
  offer(query: number, scores: Float32Array, start: number, end: number, firstDocument: number): void {
    const root = query * this.#capacity;
    for (let index = start; index < end; index++) {
      const score = scores[index]!;
      const document = firstDocument + index - start;
      if (this.#counts[query]! < this.#capacity) {
        this.#rise(root, this.#counts[query]!++, score, document);
      } else if (
        score > this.#scores[root]! ||
        (score === this.#scores[root]! && this.#ranks[document]! < this.#ranks[this.#documents[root]!]!)
      ) {
        this.#sink(root, score, document);
      }
    }
  }

  /** The documents kept for a query, the best first. */
  best(query: number): Int32Array {
    const root = query * this.#capacity;
    const places = Int32Array.from({ length: this.#counts[query]! }, (_, place) => root + place);
    places.sort(
      (left, right) =>
        this.#scores[right]! - this.#scores[left]! ||
        this.#ranks[this.#documents[left]!]! - this.#ranks[this.#documents[right]!]!,
    );
    return places.map((place) => this.#documents[place]!);
  }

  #isWorse(score: number, document: number, place: number): boolean {
    const other = this.#scores[place]!;
    return score < other || (score === other && this.#ranks[document]! > this.#ranks[this.#documents[place]!]!);
  }

  #rise(root: number, from: number, score: number, document: number): void {
    let place = from;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (!this.#isWorse(score, document, root + parent)) break;
      this.#set(root + place, this.#scores[root + parent]!, this.#documents[root + parent]!);
      place = parent;
    }
    this.#set(root + place, score, document);
  }

  #sink(root: number, score: number, document: number): void {
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= this.#capacity) break;
      const right = root + child + 1;
      if (child + 1 < this.#capacity && this.#isWorse(this.#scores[right]!, this.#documents[right]!, root + child)) {
        child++;
      }
      if (this.#isWorse(score, document, root + child)) break;
      this.#set(root + place, this.#scores[root + child]!, this.#documents[root + child]!);
      place = child;
    }
    this.#set(root + place, score, document);
  }

  #set(place: number, score: number, document: number): void {
    this.#scores[place] = score;
    this.#documents[place] = document;
  }
}
