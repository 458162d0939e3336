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
import { asWattvoxError, checkId, WattvoxError } from "@wattvox/core";

/** What a claim's file holds when nobody has it any more. */
const GIVEN_BACK = "none";

/**
 * Takes a rollout for this process, so that no other drives it too.
 *
 * Claims are files ID.1.claim, ID.2.claim and so on; the one with the highest number counts.
 *
 * INVARIANTS
 * - A number is made by one process alone (`link` fails where there is a file), and only after the one
 *   before was given back or its process had ended. Two that see the same dead process go for the same
 *   number, and one of them loses.
 * - The highest number is never removed: whoever is late, and makes one that was there before, finds
 *   the higher one and steps back.
 * @returns gives it back; idempotent
 * @throws WattvoxError E_BUSY when a process that lives has it; E_USAGE (id), E_OUTPUT
 */
export async function claimRollout(
	dir: string,
	id: string,
): Promise<() => Promise<void>> {
	checkId(id, "rollout id");
	const own = join(dir, `${id}.${randomBytes(8).toString("hex")}.new`);
	try {
		await mkdir(dir, { recursive: true });
		const known = await newest(dir, id);
		const holder = known && (await living(known.path));
		if (holder) throw busy(id, holder);
		const mine = (known?.number ?? 0) + 1;
		const path = claimPath(dir, id, mine);
		await writeFile(own, await self());
		// whole from the start, unlike a file that is made and then written
		await link(own, path).catch(async (thrown) => {
			if (thrown.code === "EEXIST") throw busy(id, await runnerOf(dir, id));
			throw thrown;
		});
		const now = await newest(dir, id);
		if (now && now.number > mine) {
			await rm(path, { force: true });
			throw busy(id, await living(now.path));
		}
		for (const { number, path: older } of await claims(dir, id))
			if (number < mine) await rm(older, { force: true });
		return () => writeFile(path, GIVEN_BACK).catch(() => undefined);
	} catch (thrown) {
		if (thrown instanceof WattvoxError) throw thrown;
		throw new WattvoxError(
			"E_OUTPUT",
			`cannot claim rollout ${id} in ${dir}: ${asWattvoxError(thrown).message}`,
			{ cause: thrown },
		);
	} finally {
		await rm(own, { force: true }).catch(() => undefined);
	}
}

/** The process that runs a rollout; undefined when none does. @throws WattvoxError E_USAGE (id) */
export async function runnerOf(
	dir: string,
	id: string,
): Promise<number | undefined> {
	checkId(id, "rollout id");
	const claim = await newest(dir, id);
	return claim && living(claim.path);
}

interface Claim {
	number: number;
	path: string;
}

function claimPath(dir: string, id: string, number: number): string {
	return join(dir, `${id}.${number}.claim`);
}

async function claims(dir: string, id: string): Promise<Claim[]> {
	const names = await readdir(dir).catch(() => []);
	return names.flatMap((name) => {
		const [, of, number] = /^(.+)\.(\d{1,15})\.claim$/.exec(name) ?? [];
		return of === id && number !== undefined
			? [{ number: Number(number), path: join(dir, name) }]
			: [];
	});
}

async function newest(dir: string, id: string): Promise<Claim | undefined> {
	return (await claims(dir, id)).sort((a, b) => b.number - a.number)[0];
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
	return (await beginning(pid)) === began ? pid : undefined;
}

/**
 * When a process began, in ticks after the machine did: field 22 of proc_pid_stat(5). Where there is
 * no /proc it is the same for all, and the number alone decides.
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
		return "-";
	}
}

function busy(id: string, pid: number | undefined): WattvoxError {
	return new WattvoxError(
		"E_BUSY",
		pid === undefined
			? `another process takes rollout ${id} just now`
			: `process ${pid} runs rollout ${id}`,
	);
}
