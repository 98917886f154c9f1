/** Where the client's files are: in the bundle and beside it, this module is at the root of their folder. */
export const BASE = import.meta.url;
