// Watches one process of the fault campaign from below: its disk, and what it publishes.
import { readFileSync } from "node:fs";
import fs from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { BLOCK_BYTES } from "@wattvox/bundle";
import { decode, decodeBlock, Link, zPull } from "@wattvox/link";
import type { DeviceEvent, Journal, StoreEvent } from "./faults-journal.ts";

/** The file of a store whose bytes, or a part of them, are at this path. */
function fileAt(path: string): string | undefined {
	return /\/store\/(?:partial|blobs\/sha256)\/([0-9a-f]{64})(?:\.part)?$/.exec(
		path,
	)?.[1];
}

/** The bundle that is wished for by a signed desired state. */
function wishIn(path: string): string | null {
	try {
		const text = readFileSync(path, "utf8");
		return /bundle\W+([0-9a-f]{64})/.exec(text)?.[1] ?? null;
	} catch {
		return null;
	}
}

/**
 * Writes down what comes to a device's disk and goes from it. What is added is written down after it is
 * there, what is removed before: killed in between, less is known to be there than is.
 * @param dir the device's folder
 * @param full whether writes fail now because nothing more fits
 */
export function tapDisk(
	dir: string,
	journal: Journal<DeviceEvent>,
	full: () => boolean,
): void {
	const real = { ...fs };
	const desired = join(dir, "desired.bin");
	const wish = () => journal.write({ is: "wish", bundle: wishIn(desired) });
	journal.write({ is: "start" });
	wish();
	/** Of each file, blocks that were written and not flushed. */
	const written = new Map<string, Set<number>>();
	const goes = (path: string) => {
		const file = fileAt(path);
		if (file === undefined) return;
		written.delete(file);
		journal.write({ is: "gone", file });
	};
	fs.open = async (...args) => {
		const handle = await real.open(...args);
		const file = fileAt(String(args[0]));
		const writev = handle.writev.bind(handle);
		const datasync = handle.datasync.bind(handle);
		handle.writev = async (pieces, at) => {
			const done = await writev(pieces, at);
			const all = pieces.reduce((sum, p) => sum + p.byteLength, 0);
			// what was cut short is written down when its rest is, or never: then less is known
			if (file === undefined || done.bytesWritten < all) return done;
			const blocks = written.get(file) ?? new Set();
			written.set(file, blocks);
			for (const n of pieces.keys()) blocks.add(Number(at) / BLOCK_BYTES + n);
			return done;
		};
		for (const name of ["write", "writev", "writeFile"] as const) {
			const work = handle[name].bind(handle) as (...a: unknown[]) => unknown;
			Object.assign(handle, {
				[name]: async (...a: unknown[]) => {
					if (full()) throw noSpace();
					return work(...a);
				},
			});
		}
		if (file !== undefined)
			handle.datasync = async () => {
				const blocks = [...(written.get(file) ?? [])];
				await datasync();
				for (const block of blocks) written.get(file)?.delete(block);
				if (blocks.length > 0) journal.write({ is: "kept", file, blocks });
			};
		return handle;
	};
	fs.rm = async (path, options) => {
		goes(String(path));
		return real.rm(path, options);
	};
	fs.rename = async (from, to) => {
		const wishes = String(to) === desired;
		if (wishes) journal.write({ is: "wish", bundle: null });
		if (fileAt(String(from)) !== fileAt(String(to))) goes(String(from));
		await real.rename(from, to);
		if (wishes) wish();
	};
	syncBuiltinESMExports();
}

function noSpace(): Error {
	const error = new Error("ENOSPC: no space left on device");
	return Object.assign(error, { code: "ENOSPC" });
}

/** Told what this process publishes, before it goes out. */
function tapLink(onPublish: (topic: string, payload: Buffer) => void): void {
	const { publish } = Link.prototype;
	Link.prototype.publish = function (to, payload, options) {
		onPublish(to, payload);
		return publish.call(this, to, payload, options);
	};
}

/** Writes down what a device asks for. */
export function tapAsks(journal: Journal<DeviceEvent>): void {
	tapLink((topic, payload) => {
		const pull = topic.endsWith("/pull") ? decode(zPull, payload) : undefined;
		if (!pull) return;
		const { id, kind, digest: file, blocks } = pull;
		journal.write({ is: "ask", pull: id, kind, file, blocks });
	});
}

/** Writes down what a store sends. @param isDamaged whether these bytes were damaged on purpose */
export function tapAnswers(
	journal: Journal<StoreEvent>,
	isDamaged: (file: string, block: number) => boolean,
): void {
	tapLink((topic, payload) => {
		const block = topic.endsWith("/block") ? decodeBlock(payload) : undefined;
		if (!block) return;
		const { kind, digest: file, index, error } = block.header;
		journal.write({
			...{ is: "sent", kind, file, block: index },
			bytes: block.bytes.byteLength,
			damaged: isDamaged(file, index),
			refused: error !== undefined,
		});
	});
}
