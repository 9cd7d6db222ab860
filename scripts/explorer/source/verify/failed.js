/** The bundle does not prove what it states. The message names the first difference. */
export class Failed extends Error {}

/** The bytes of a log, or of a proof, are not what they should be. */
export class Unreadable extends Error {}
