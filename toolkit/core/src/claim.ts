import { randomBytes } from "node:crypto";
import {
	link,
	mkdir,
	readdir,
	readFile,
	rm,
	writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { asWattvoxError, WattvoxError } from "./errors.ts";
import { checkId } from "./ids.ts";

/** What a claim's file holds when nobody has it any more. */
const GIVEN_BACK = "none";
/** When a process began, where nobody says. */
const UNKNOWN = "-";

/**
 * Takes a name in a folder for this process, so that no other works on what it stands for too. Made to be
 * taken over: a process that was killed holds nothing.
 *
 * Claims are files NAME.1.claim, NAME.2.claim and so on; the one with the highest number counts.
 *
 * INVARIANTS
 * - A number is made by one process alone (`link` fails where there is a file), and only after the one
 *   before was given back or its process had ended. Two that see the same dead process go for the same
 *   number, and one of them loses.
 * - The highest number is never removed: whoever is late, and makes one that was there before, finds
 *   the higher one and steps back.
 * @param name an id
 * @param busy what is said when a process that lives has it, or when another takes it at this moment
 * @returns gives it back; idempotent
 * @throws WattvoxError E_BUSY when a process that lives has it; E_USAGE (name), E_OUTPUT
 */
export async function claim(
	dir: string,
	name: string,
	busy: (pid: number | undefined) => string,
): Promise<() => Promise<void>> {
	checkId(name, "name of a claim");
	const own = join(dir, `${name}.${randomBytes(8).toString("hex")}.new`);
	const taken = (pid: number | undefined) =>
		new WattvoxError("E_BUSY", busy(pid));
	try {
		await mkdir(dir, { recursive: true });
		const known = await newest(dir, name);
		const holder = known && (await living(known.path));
		if (holder) throw taken(holder);
		const mine = (known?.number ?? 0) + 1;
		const path = claimPath(dir, name, mine);
		await writeFile(own, await self());
		// whole from the start, unlike a file that is made and then written
		await link(own, path).catch(async (thrown) => {
			if (thrown.code === "EEXIST") throw taken(await claimantOf(dir, name));
			throw thrown;
		});
		const now = await newest(dir, name);
		if (now && now.number > mine) {
			await rm(path, { force: true });
			throw taken(await living(now.path));
		}
		for (const { number, path: older } of await claims(dir, name))
			if (number < mine) await rm(older, { force: true });
		return () => writeFile(path, GIVEN_BACK).catch(() => undefined);
	} catch (thrown) {
		if (thrown instanceof WattvoxError) throw thrown;
		throw new WattvoxError(
			"E_OUTPUT",
			`cannot claim ${name} in ${dir}: ${asWattvoxError(thrown).message}`,
			{ cause: thrown },
		);
	} finally {
		await rm(own, { force: true }).catch(() => undefined);
	}
}

/** The process that has a name; undefined when none does. @throws WattvoxError E_USAGE (name) */
export async function claimantOf(
	dir: string,
	name: string,
): Promise<number | undefined> {
	checkId(name, "name of a claim");
	const found = await newest(dir, name);
	return found && living(found.path);
}

interface Claim {
	number: number;
	path: string;
}

function claimPath(dir: string, name: string, number: number): string {
	return join(dir, `${name}.${number}.claim`);
}

async function claims(dir: string, name: string): Promise<Claim[]> {
	const files = await readdir(dir).catch(() => []);
	return files.flatMap((file) => {
		const [, of, number] = /^(.+)\.(\d{1,15})\.claim$/.exec(file) ?? [];
		return of === name && number !== undefined
			? [{ number: Number(number), path: join(dir, file) }]
			: [];
	});
}

async function newest(dir: string, name: string): Promise<Claim | undefined> {
	return (await claims(dir, name)).sort((a, b) => b.number - a.number)[0];
}

/** This process: its number, and when it began, since numbers are given again. */
async function self(): Promise<string> {
	return `${process.pid} ${await beginning(process.pid)}`;
}

/** The process that a claim names, if it still runs. */
async function living(path: string): Promise<number | undefined> {
	const text = await readFile(path, "utf8").catch(() => GIVEN_BACK);
	const [number = "", began] = text.split(" ");
	const pid = Number(number);
	if (!Number.isSafeInteger(pid) || pid <= 0) return undefined;
	try {
		process.kill(pid, 0);
	} catch (thrown) {
		// it is somebody else's, so it runs
		if ((thrown as NodeJS.ErrnoException).code !== "EPERM") return undefined;
	}
	const begins = await beginning(pid);
	const same = begins === began || begins === UNKNOWN || began === UNKNOWN;
	return same ? pid : undefined;
}

/**
 * When a process began, in ticks after the machine did: field 22 of proc_pid_stat(5). Where there is
 * no /proc, or it hides others' processes, that is not known, and the number alone decides.
 */
async function beginning(pid: number): Promise<string> {
	try {
		const stat = await readFile(`/proc/${pid}/stat`, "latin1");
		const boot = await readFile("/proc/sys/kernel/random/boot_id", "latin1");
		// the second field is a name in brackets, which may hold anything
		const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
		// ended, but nobody has asked yet how
		if (fields[0] === "Z") return "ended";
		return `${boot.trim()}/${fields[19]}`;
	} catch {
		return UNKNOWN;
	}
}
