/** What the browser keeps for this page, or none where the settings forbid it. @returns {?Storage} */
export function pageStorage() {
  try {
    return globalThis.localStorage;
  } catch {
    return null;
  }
}
