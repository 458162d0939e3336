import { randomBytes } from "node:crypto";
import { access, mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import {
	asWattvoxError,
	checkId,
	WattvoxError,
	writeAtomic,
} from "@wattvox/core";
import { claimRollout } from "./claim.ts";
import { type Order, obey } from "./planner.ts";
import type { RolloutState } from "./spec.ts";

const statePath = (dir: string, id: string) => join(dir, `${id}.json`);

/** @throws WattvoxError E_OUTPUT, E_DISK_FULL */
export async function saveRollout(
	dir: string,
	state: RolloutState,
): Promise<void> {
	await writeAtomic(statePath(dir, state.spec.id), JSON.stringify(state));
}

/**
 * Writes a rollout that is new.
 * @throws WattvoxError E_USAGE when there is one of that name, E_BUSY while another process makes it,
 * E_OUTPUT, E_DISK_FULL
 */
export async function createRollout(
	dir: string,
	state: RolloutState,
): Promise<void> {
	const { id } = state.spec;
	const giveBack = await claimRollout(dir, id);
	try {
		const known = await access(statePath(dir, id)).then(
			() => true,
			() => false,
		);
		if (known)
			throw new WattvoxError(
				"E_USAGE",
				`there is a rollout ${id}: resume it, or take another --id`,
			);
		await saveRollout(dir, state);
	} finally {
		await giveBack();
	}
}

/** @throws WattvoxError E_FILE_MISSING, E_FILE_FORMAT, E_USAGE (id) */
export async function loadRollout(
	dir: string,
	id: string,
): Promise<RolloutState> {
	let text: string;
	try {
		text = await readFile(statePath(dir, checkId(id, "rollout id")), "utf8");
	} catch (cause) {
		if (cause instanceof WattvoxError) throw cause;
		throw new WattvoxError("E_FILE_MISSING", `there is no rollout ${id}`, {
			cause,
		});
	}
	try {
		const state = JSON.parse(text) as RolloutState;
		if (state.v === 1 && state.spec.id === id) return state;
	} catch {
		// said below
	}
	throw new WattvoxError("E_FILE_FORMAT", `${id} is no rollout's file`);
}

/** Every rollout of a folder, the newest first. */
export async function listRollouts(dir: string): Promise<RolloutState[]> {
	const names = await readdir(dir).catch(() => []);
	const states = await Promise.all(
		names
			.filter((name) => name.endsWith(".json"))
			.map((name) =>
				loadRollout(dir, name.slice(0, -5)).catch(() => undefined),
			),
	);
	return states
		.filter((s) => s !== undefined)
		.sort((a, b) => b.startedAt - a.startedAt);
}

/**
 * Gives an order: to the runner, or to the file when none runs. The latter tells no device: whoever
 * resumes it does.
 * @returns whether a runner will act on it
 * @throws WattvoxError E_FILE_MISSING, E_FILE_FORMAT, E_USAGE (id), E_OUTPUT
 */
export async function orderRollout(
	dir: string,
	id: string,
	order: Order,
	now = Date.now(),
): Promise<boolean> {
	await loadRollout(dir, id);
	let giveBack: () => Promise<void>;
	try {
		giveBack = await claimRollout(dir, id);
	} catch (thrown) {
		if (asWattvoxError(thrown).code !== "E_BUSY") throw thrown;
		await mkdir(dir, { recursive: true });
		const name = `${id}.${String(now).padStart(15, "0")}-${randomBytes(4).toString("hex")}.order`;
		await writeAtomic(join(dir, name), JSON.stringify(order));
		return true;
	}
	try {
		let state = await loadRollout(dir, id);
		// what a runner that ended meanwhile was told comes first
		for (const given of [...(await takeOrders(dir, id)), order])
			state = obey(state, given, now).state;
		await saveRollout(dir, state);
		return false;
	} finally {
		await giveBack();
	}
}

/** Takes what was ordered, oldest first. Only for who has the rollout's claim. */
export async function takeOrders(dir: string, id: string): Promise<Order[]> {
	const names = await readdir(dir).catch(() => []);
	const orders: Order[] = [];
	for (const name of names.sort()) {
		if (!name.startsWith(`${id}.`) || !name.endsWith(".order")) continue;
		const path = join(dir, name);
		try {
			orders.push(JSON.parse(await readFile(path, "utf8")) as Order);
		} catch {
			// no order of ours
		}
		await rm(path, { force: true });
	}
	return orders;
}
