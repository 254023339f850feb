/** Replaces a method of one object; `replace` gets the original, bound to the object. */
export function intercept<T extends object, Name extends keyof T>(
  object: T,
  name: Name,
  replace: (original: T[Name]) => T[Name],
): void {
  const original = (object[name] as (...given: unknown[]) => unknown).bind(object) as T[Name];
  Object.defineProperty(object, name, { value: replace(original), configurable: true });
}
