import { WattvoxError } from "./errors.ts";

/**
 * What a fleet, device, voice or base may be called. Ids become MQTT topic levels and file names,
 * so the set holds nothing that either treats specially.
 */
export const ID_PATTERN: RegExp = /^[A-Za-z0-9_-]{1,64}$/;

/** Whether `value` is a valid id. */
export function isId(value: unknown): value is string {
	return typeof value === "string" && ID_PATTERN.test(value);
}

/**
 * `value` itself when it is a valid id.
 * @param what what it names, for the message: "device id"
 * @throws WattvoxError E_USAGE
 */
export function checkId(value: unknown, what: string): string {
	if (isId(value)) return value;
	throw new WattvoxError(
		"E_USAGE",
		`${what} ${JSON.stringify(value)} is not an id: use 1 to 64 of the characters A-Z a-z 0-9 _ -`,
	);
}
