import { readFileSync } from "node:fs";

/** A file of sysfs without its newline. @throws what Node throws */
export function readText(path: string): string {
	return readFileSync(path, "utf8").trim();
}

/** A whole number, possibly negative. @throws Error naming the file when it holds none */
export function readNumber(path: string): number {
	const value = readText(path);
	if (!/^-?\d+$/.test(value)) throw new Error(`${path} holds no number`);
	return Number(value);
}

/** The same, null where the file is missing, empty or not readable now. */
export function numberOrNull(path: string): number | null {
	try {
		return readNumber(path);
	} catch {
		return null;
	}
}

/** Text, null where the file is missing or not readable now. */
export function textOrNull(path: string): string | null {
	try {
		return readText(path);
	} catch {
		return null;
	}
}

/** Why a file could not be read, worded for people. */
export function whyUnreadable(thrown: unknown): string {
	const error = thrown as NodeJS.ErrnoException;
	if (error.code === "EACCES" || error.code === "EPERM")
		return `${error.path ?? "it"} is readable by root only`;
	return error.message;
}
