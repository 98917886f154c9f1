/**
 * What the browser keeps for this page, or none where the settings forbid it.
 * @param {'localStorage' | 'sessionStorage'} kind @returns {?Storage}
 */
export function pageStorage(kind = 'localStorage') {
  try {
    return globalThis[kind] ?? null;
  } catch {
    return null;
  }
}
