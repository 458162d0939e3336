import type { BlockSource } from "@wattvox/bundle";
import test from "ava";
import {
	type BlockHeader,
	decodeBlock,
	encode,
	type Pull,
} from "./messages.ts";
import { BlockServer, type BlockServerOptions } from "./serve.ts";
import { topic } from "./topics.ts";

const digest = "ab".repeat(32);

/** A server whose store answers when the test says so. */
async function setUp({
	hold,
	...more
}: Partial<BlockServerOptions> & { hold?: () => Promise<void> } = {}) {
	const sent: { device: string; header: BlockHeader; bytes: number }[] = [];
	const reads: (() => void)[] = [];
	let reading = 0;
	let most = 0;
	let handler:
		| ((name: string, payload: Buffer, r: boolean) => void)
		| undefined;
	let lost: () => void = () => undefined;
	const source: BlockSource = {
		async readManifest() {
			return { bytes: Buffer.alloc(70_000), signature: Buffer.from("sig") };
		},
		async readBlock(_, index) {
			most = Math.max(most, ++reading);
			await new Promise<void>((resolve) => reads.push(resolve));
			reading--;
			if (index === 99) throw new Error("disk");
			return index < 50 ? Buffer.from([index]) : undefined;
		},
	};
	const server = new BlockServer({
		link: {
			onLost(fn) {
				lost = fn;
				return () => undefined;
			},
			async subscribe(_, fn) {
				handler = fn;
				return async () => {
					handler = undefined;
				};
			},
			async publish(name, payload) {
				const message = decodeBlock(payload);
				const device = name.split("/")[3] ?? "";
				if (!message || !name.endsWith("/block")) throw new Error(name);
				const bytes = message.bytes.byteLength;
				sent.push({ device, header: message.header, bytes });
				await hold?.();
			},
		},
		source,
		store: "s",
		...more,
	});
	await server.start();
	const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
	return {
		server,
		sent,
		most: () => most,
		lose: () => lost(),
		ask(device: string, blocks: number[], part: Partial<Pull> = {}) {
			const pull = { v: 1, store: "s", id: "x", kind: "blob", digest, blocks };
			const name = topic("home", device, "pull");
			handler?.(name, encode({ ...pull, ...part }), false);
		},
		/** Lets everything that is read or will be read come back. */
		async drain() {
			do {
				for (const done of reads.splice(0)) done();
				await settle();
			} while (reads.length > 0);
		},
	};
}

test("few blocks are read at once, and devices take turns", async (t) => {
	const s = await setUp({ concurrency: 2 });
	s.ask("a", [0, 1, 2, 3, 4, 5]);
	s.ask("b", [0, 1]);
	await s.drain();
	t.is(s.most(), 2);
	t.is(s.sent.length, 8);
	const lastOfB = s.sent.map((m) => m.device).lastIndexOf("b");
	t.true(lastOfB <= 5, "b did not wait for all of a");
	t.deepEqual(
		s.sent.filter((m) => m.device === "a").map((m) => m.header.index),
		[0, 1, 2, 3, 4, 5],
	);
});

test("a block asked for twice while it waits is sent once", async (t) => {
	const s = await setUp({ concurrency: 1 });
	s.ask("a", [0, 1, 2]);
	s.ask("a", [1, 2, 3]);
	await s.drain();
	t.deepEqual(
		s.sent.map((m) => m.header.index),
		[0, 1, 2, 3],
	);
});

test("a device that asks for too much is told so, and the others are served", async (t) => {
	const s = await setUp({ concurrency: 1, queueLimit: 3 });
	s.ask("a", [0, 1, 2, 3, 4]);
	s.ask("b", [7]);
	await s.drain();
	const busy = s.sent.filter((m) => m.header.error === "busy");
	t.deepEqual(
		busy.map((m) => m.header.index),
		[3, 4],
	);
	t.true(s.sent.some((m) => m.device === "b" && !m.header.error));
	t.is(s.server.counters.blocks, 4);
});

test("what is not there is said, what fails is said, another store's business is not ours", async (t) => {
	const s = await setUp();
	s.ask("a", [60, 99]);
	s.ask("a", [1], { store: "other" });
	s.ask("a", [2, 1], { kind: "manifest" });
	await s.drain();
	t.deepEqual(
		s.sent.map((m) => [
			m.header.kind,
			m.header.index,
			m.header.error ?? m.bytes,
		]),
		[
			["manifest", 2, "unknown"],
			["manifest", 1, 70_000 - 65_536],
			["blob", 60, "unknown"],
			["blob", 99, "failed"],
		],
	);
	t.is(s.sent[1]?.header.signature, "sig");
});

test("a flood of requests does not become one of refusals that wait", async (t) => {
	let sent = 0;
	let stuck = true;
	const waiting: (() => void)[] = [];
	const s = await setUp({
		...{ concurrency: 1, queueLimit: 1 },
		hold: async () => {
			sent++;
			// a connection that takes nothing
			if (stuck) await new Promise<void>((resolve) => waiting.push(resolve));
		},
	});
	const blocks = Array.from({ length: 256 }, (_, n) => n);
	for (let n = 0; n < 100; n++) s.ask("a", blocks);
	t.is(sent, 1024);
	t.true(s.server.counters.refused > 25_000);
	stuck = false;
	for (const go of waiting.splice(0)) go();
	await s.drain();
	s.ask("a", [30, 31, 32]);
	t.true(sent > 1024);
});

test("a block beyond all files is not there", async (t) => {
	const s = await setUp();
	for (const kind of ["blob", "manifest"] as const)
		s.ask("a", [Number.MAX_SAFE_INTEGER], { kind });
	await s.drain();
	t.deepEqual(
		s.sent.map((m) => m.header.error),
		["unknown", "unknown"],
	);
});

test("when the connection goes, what waits is forgotten: whoever asked asks again", async (t) => {
	const s = await setUp({ concurrency: 1 });
	s.ask("a", [0, 1, 2]);
	s.lose();
	await s.drain();
	t.is(s.sent.length, 1, "the one that was being read");
	t.is(s.server.counters.dropped, 2);
	s.ask("a", [1]);
	const stopped = s.server.stop();
	await s.drain();
	await stopped;
	await s.server.stop();
	t.is(s.sent.length, 2);
});

test("what all devices have waiting is bounded too", async (t) => {
	const s = await setUp({ concurrency: 1, totalLimit: 6 });
	for (const device of ["a", "b", "c", "d"]) s.ask(device, [0, 1, 2]);
	// asked again is not asked twice
	s.ask("a", [1, 2]);
	const busy = s.sent.filter((m) => m.header.error === "busy");
	t.deepEqual(
		busy.map((m) => m.device),
		["c", "c", "d", "d", "d"],
	);
	await s.drain();
	t.is(s.sent.filter((m) => !m.header.error).length, 7);
	s.ask("d", [0]);
	await s.drain();
	t.is(s.sent.at(-1)?.device, "d", "room again");
});
