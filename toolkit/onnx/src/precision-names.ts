/** What a weight's name ends in when it is kept in half precision behind a Cast. */
export const HALF_SUFFIX = ".f16";
