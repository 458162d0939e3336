import { readFileSync } from "node:fs";
import { descendantsOf } from "@wattvox/core";

/** A clock of processor time in microseconds, summed over cores; it never runs backwards. */
export type CpuClock = () => number;

// USER_HZ, the unit of /proc/PID/stat: 100 on every architecture that Node runs on.
const TICK_MICROSECONDS = 10_000;

/**
 * Processor time of this process, all its threads (workers, ONNX Runtime's pool) and, where /proc
 * shows them, its children: those that have ended and those that run, with their own.
 */
export function processCpuClock(): CpuClock {
	let last = 0;
	return () => {
		const { user, system } = process.cpuUsage();
		// A child may end between the two looks below; the clock then stands still for a moment
		// rather than step back.
		last = Math.max(last, user + system + childMicroseconds(process.pid));
		return last;
	};
}

/** Ended children are in their parent's cutime and cstime, living ones in their own record. */
function childMicroseconds(pid: number): number {
	let ticks = statTicks(pid)?.ended ?? 0;
	for (const child of descendantsOf(pid)) {
		const times = statTicks(child);
		if (times) ticks += times.own + times.ended;
	}
	return ticks * TICK_MICROSECONDS;
}

/** Fields 14-17 of /proc/PID/stat (proc(5)); the command in field 2 may hold spaces and brackets. */
function statTicks(pid: number): { own: number; ended: number } | null {
	try {
		const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
		const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
		const at = (field: number) => Number(fields[field - 3]);
		return { own: at(14) + at(15), ended: at(16) + at(17) };
	} catch {
		return null;
	}
}
