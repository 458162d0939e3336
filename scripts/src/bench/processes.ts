import { readdir, readFile } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import { WattvoxError } from "@wattvox/core";

/** What a process holds and has used, from /proc (Linux). */
export interface ProcessFacts {
	/** Resident set now, bytes; pages shared with other processes count in each. */
	rss: number;
	/** Largest resident set so far, bytes. */
	peakRss: number;
	/** Processor time of all its threads, seconds. */
	cpuSeconds: number;
}

/** @throws WattvoxError E_FILE_MISSING when there is no such process */
export async function processFacts(pid: number): Promise<ProcessFacts> {
	const dir = `/proc/${pid}`;
	try {
		const status = await readFile(`${dir}/status`, "utf8");
		const kB = (key: string) =>
			Number(new RegExp(`^${key}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]);
		let nanoseconds = 0;
		for (const task of await readdir(`${dir}/task`)) {
			// Finer than the clock ticks of /proc/PID/stat. A thread that ends meanwhile is missed.
			const text = await readFile(`${dir}/task/${task}/schedstat`, "utf8");
			nanoseconds += Number(text.split(" ")[0]);
		}
		return {
			rss: 1024 * kB("VmRSS"),
			peakRss: 1024 * kB("VmHWM"),
			cpuSeconds: nanoseconds / 1e9,
		};
	} catch (cause) {
		throw new WattvoxError("E_FILE_MISSING", `process ${pid} cannot be read`, {
			cause,
		});
	}
}

export interface IdleFacts {
	/** Largest resident set seen, bytes. */
	rss: number;
	peakRss: number;
	/** Share of one core. */
	cpu: number;
}

/** Watches processes for a while, each once a second. */
export async function watch<Name extends string>(
	pids: Record<Name, number>,
	seconds: number,
	signal: AbortSignal,
): Promise<Record<Name, IdleFacts>> {
	const names = Object.keys(pids) as Name[];
	const look = () => Promise.all(names.map((name) => processFacts(pids[name])));
	const first = await look();
	const begin = performance.now();
	let last = first;
	const rss = first.map((f) => f.rss);
	for (let i = 0; i < seconds; i++) {
		await setTimeout(1000, undefined, { signal });
		last = await look();
		last.forEach((f, k) => {
			rss[k] = Math.max(rss[k] ?? 0, f.rss);
		});
	}
	const elapsed = (performance.now() - begin) / 1000;
	return Object.fromEntries(
		names.map((name, k) => [
			name,
			{
				rss: rss[k] ?? 0,
				peakRss: last[k]?.peakRss ?? 0,
				cpu:
					((last[k]?.cpuSeconds ?? 0) - (first[k]?.cpuSeconds ?? 0)) / elapsed,
			},
		]),
	) as Record<Name, IdleFacts>;
}
