import { writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { temporaryDir } from "@wattvox/bundle/testing";
import { type Clock, silentProgress } from "@wattvox/core";
import test, { type ExecutionContext } from "ava";
import { booked } from "../booked.ts";
import type { Io } from "../command.ts";
import { measured } from "./measure.ts";

const RANGE_JOULES = 100;

/**
 * A machine with a RAPL tree of its own, whose time passes only when it waits (at 4 W) or speaks (at
 * 9 W, a tenth of the time that the sound lasts), and a speech API on it.
 */
async function machine(t: ExecutionContext) {
	const root = await temporaryDir(t);
	const domain = join(root, "sys/class/powercap/intel-rapl:0");
	await mkdir(domain, { recursive: true });
	writeFileSync(join(domain, "name"), "package-0\n");
	writeFileSync(
		join(domain, "max_energy_range_uj"),
		`${RANGE_JOULES * 1e6 - 1}\n`,
	);
	let milliseconds = 0;
	let joules = 0.9 * RANGE_JOULES;
	const pass = (ms: number, watts: number) => {
		milliseconds += ms;
		joules += (watts * ms) / 1000;
		const counter = Math.round(joules * 1e6) % (RANGE_JOULES * 1e6);
		writeFileSync(join(domain, "energy_uj"), `${counter}\n`);
	};
	pass(0, 0);
	const clock: Clock = {
		wall: () => milliseconds,
		monotonic: () => milliseconds,
		sleep: async (ms) => pass(ms, 4),
	};
	const texts: string[] = [];
	const server = createServer(async (request, response) => {
		let body = "";
		for await (const piece of request) body += piece;
		texts.push(JSON.parse(body).input);
		pass(200, 9);
		response.setHeader("x-sample-rate", "16000");
		response.end(Buffer.alloc(2 * 2 * 16000));
	});
	await new Promise<void>((resolve) =>
		server.listen(0, "127.0.0.1", () => resolve()),
	);
	t.teardown(() => server.close());
	const { port } = server.address() as AddressInfo;
	return { root, clock, texts, url: `http://127.0.0.1:${port}` };
}

const io = {
	signal: new AbortController().signal,
	progress: silentProgress,
} as Io;

test("joules per second of speech from a machine's energy counters", async (t) => {
	const { root, clock, texts, url } = await machine(t);
	const ledger = join(root, "energy.jsonl");
	await booked(
		ledger,
		async (books) => {
			t.is(books.meter.describe().sensor, "rapl");
			t.true(books.meter.describe().measured);
			t.is(await measured(0, url, io, books, clock), undefined);
			// a sensor is reason enough: nobody asked
			for (const wanted of [30, undefined]) {
				const found = await measured(wanted, url, io, books, clock);
				if (!found) return t.fail("nothing was measured");
				const near = (a: number | undefined, b: number) =>
					t.true(Math.abs((a ?? Number.NaN) - b) < 1e-3, `${a} for ${b}`);
				t.true(found.measured);
				t.true(found.seconds >= 30 && found.seconds < 31);
				near(found.realTimeFactor.value, 0.1);
				near(found.idleWatts?.value, 4);
				near(found.busyWatts?.value, 9);
				near(found.joulesPerAudioSecond?.gross.value, 0.9);
				near(found.joulesPerAudioSecond?.marginal.value, 0.5);
			}
			const booked = books.ledger
				.summary()
				.stages.filter((s) => s.name === "measure");
			t.true(booked.every((s) => s.measured));
			const joules = booked.reduce((sum, s) => sum + (s.joules ?? 0), 0);
			// twice: 5 s of idling at 4 W, a sentence to warm up, 30 s at 9 W; the counter began anew meanwhile
			t.true(Math.abs(joules - 2 * (20 + 1.8 + 270)) < 5, `${joules}`);
		},
		// Readings carry the real time, in which this machine's joules come in no time or late.
		{
			power: { root },
			meter: { maxWatts: 1e12, maxStillSeconds: 600 },
		},
	);
	t.is(texts.length, 2 * (1 + 150));
});

test("without a sensor nobody waits for half a minute of estimates", async (t) => {
	const { url, clock } = await machine(t);
	const root = await temporaryDir(t);
	await booked(
		join(root, "energy.jsonl"),
		async (books) => {
			t.false(books.meter.describe().measured);
			t.is(await measured(undefined, url, io, books, clock), undefined);
		},
		{ power: { root } },
	);
});
