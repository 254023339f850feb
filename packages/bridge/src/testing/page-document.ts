import { createContext, Script } from "node:vm";
import type { PageData } from "../report/page/page-data.ts";
import { pageScript } from "../report/page/page-script.ts";

type Listener = (event: PageEvent) => void;

/** What happens to a node of the page. */
export interface PageEvent {
  readonly target: PageNode;
  readonly key?: string;
  preventDefault(): void;
}

/** As much of a browser's element as the report's script uses. */
export class PageNode {
  readonly tag: string;
  readonly attributes = new Map<string, string>();
  readonly dataset: Record<string, string> = {};
  readonly style: Record<string, string> = {};
  readonly offsetWidth = 100;
  readonly offsetHeight = 20;
  readonly offsetLeft = 700;
  readonly clientWidth = 400;
  scrollLeft = 0;
  children: (PageNode | string)[] = [];
  parent: PageNode | undefined;
  open = false;
  id = "";
  isFocused = false;
  private readonly listeners = new Map<string, Listener[]>();

  constructor(tag: string) {
    this.tag = tag;
  }
  get hidden(): boolean {
    return this.attributes.has("hidden");
  }
  set hidden(value: boolean) {
    if (value) this.attributes.set("hidden", "");
    else this.attributes.delete("hidden");
  }
  get textContent(): string {
    return this.children.map((child) => (typeof child === "string" ? child : child.textContent)).join("");
  }
  set textContent(text: string) {
    this.children = text === "" ? [] : [text];
  }
  append(...children: (PageNode | string)[]): void {
    for (const child of children) if (child instanceof PageNode) child.parent = this;
    this.children.push(...children);
  }
  setAttribute(name: string, value: string): void {
    this.attributes.set(name, value);
  }
  getAttribute(name: string): string | null {
    return this.attributes.get(name) ?? null;
  }
  removeAttribute(name: string): void {
    this.attributes.delete(name);
  }
  addEventListener(type: string, listener: Listener): void {
    this.listeners.set(type, [...(this.listeners.get(type) ?? []), listener]);
  }
  /** Lets an event happen here; it rises to the nodes around. */
  happen(type: string, key?: string): void {
    const event = { target: this, ...(key === undefined ? {} : { key }), preventDefault: () => undefined };
    for (let node: PageNode | undefined = this; node !== undefined; node = node.parent) {
      for (const listener of node.listeners.get(type) ?? []) listener(event);
    }
  }
  /** All nodes inside that have a tag, in the order of the document. */
  all(tag: string): PageNode[] {
    const nodes = this.children.filter((child) => child instanceof PageNode);
    return nodes.flatMap((child) => [...(child.tag === tag ? [child] : []), ...child.all(tag)]);
  }
  focus(): void {
    this.isFocused = true;
    this.happen("focusin");
  }
  matches(selector: string): boolean {
    return (this.attributes.get("class") ?? "").split(" ").includes(selector.slice(1));
  }
  closest(tag: string): PageNode | null {
    return this.tag === tag ? this : (this.parent?.closest(tag) ?? null);
  }
  querySelector(selector: string): PageNode | null {
    if (selector !== "[data-strip]") throw new Error(`This page knows no ${selector}.`);
    return this.all("div").find((node) => node.attributes.has("data-strip")) ?? null;
  }
  scrollIntoView(): void {}
  getBoundingClientRect(): { left: number; top: number; bottom: number } {
    return { left: 900, top: 40, bottom: 60 };
  }
}

/** A page on which the report's script has run. */
export interface PageDocument {
  readonly body: PageNode;
  /** One folded part a case. */
  readonly cases: readonly PageNode[];
  /** The box that shows what a cell means. */
  readonly tip: PageNode;
  /** Lets an event happen to the window. */
  readonly happen: (type: string) => void;
}

/** Runs the report's script on a page of folded cases, of which some are open and some are equal. */
export function runPage(
  data: PageData,
  cases: readonly { readonly isOpen: boolean; readonly isEqual: boolean }[],
  hash = "",
): PageDocument {
  const body = new PageNode("body");
  const json = new PageNode("script");
  json.textContent = JSON.stringify(data);
  const folds = cases.map(({ isOpen, isEqual }, index) => {
    const details = new PageNode("details");
    details.setAttribute("class", `case ${isEqual ? "equal" : "different"}`);
    details.id = `case-${index}`;
    details.dataset.case = String(index);
    details.open = isOpen;
    const strip = new PageNode("div");
    strip.setAttribute("data-strip", "");
    strip.textContent = "needs the script";
    details.append(strip);
    body.append(details);
    return details;
  });
  const window = new PageNode("window");
  body.parent = window;
  const document = {
    body,
    createElement: (tag: string) => new PageNode(tag),
    getElementById: () => json,
    querySelectorAll: () => folds,
    addEventListener: body.addEventListener.bind(body),
  };
  const addEventListener = window.addEventListener.bind(window);
  new Script(pageScript).runInContext(
    createContext({ document, addEventListener, location: { hash }, innerWidth: 400, innerHeight: 600 }),
  );
  const tip = body.all("div").find((node) => node.matches(".tip"))!;
  return { body, cases: folds, tip, happen: (type) => window.happen(type) };
}
