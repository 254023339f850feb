import fc from "fast-check";
import { expect, it } from "vitest";
import { hostileTexts } from "../../testing/parity-reports.ts";
import { embeddedJson, Html, html } from "./html.ts";

const texts = fc.oneof(fc.constantFrom(...hostileTexts), fc.string(), fc.string({ unit: "binary" }));

/** Undoes numeric character references. */
function unescaped(markup: string): string {
  return markup.replaceAll(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)));
}

it("escapes texts in content and attributes so that they come back the same", () => {
  fc.assert(
    fc.property(texts, (text) => {
      const { markup } = html`<b title="${text}">${text}</b>`;
      const inner = markup.slice('<b title="'.length, -"</b>".length);
      expect(inner.match(/[<>"']/g)).toEqual(['"', ">"]);
      expect(unescaped(inner)).toBe(`${text}">${text}`);
    }),
  );
});

it("joins lists, leaves markup alone and drops what is undefined", () => {
  const items = ["<", "&"].map((text) => html`<li>${text}</li>`);
  expect(html`<ul>${items}${undefined}${3}${new Html("<hr>")}</ul>`.markup).toBe(
    "<ul><li>&#60;</li><li>&#38;</li>3<hr></ul>",
  );
});

it("embeds JSON that cannot leave its script element", () => {
  fc.assert(
    fc.property(fc.array(texts), (values) => {
      const { markup } = embeddedJson(values);
      expect(markup).not.toContain("<");
      expect(JSON.parse(markup)).toEqual(values);
    }),
  );
});
