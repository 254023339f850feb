/** Text that is markup already. */
export class Html {
  readonly markup: string;
  constructor(markup: string) {
    this.markup = markup;
  }
}

/** What a template takes: text and numbers are escaped, markup is not, lists are joined, undefined is nothing. */
export type HtmlValue = string | number | Html | undefined | readonly HtmlValue[];

/** Template tag for markup; whatever is put in is escaped, in content and in quoted attributes. */
export function html(strings: TemplateStringsArray, ...values: HtmlValue[]): Html {
  return new Html(strings.map((string, index) => string + markupOf(values[index])).join(""));
}

function markupOf(value: HtmlValue): string {
  if (value === undefined) return "";
  if (value instanceof Html) return value.markup;
  if (typeof value === "object") return value.map(markupOf).join("");
  return String(value).replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** JSON for a script element of type application/json, which no text in it can end. */
export function embeddedJson(value: unknown): Html {
  return new Html(JSON.stringify(value).replaceAll("<", "\\u003c"));
}
