import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { temporaryDir } from "@wattvox/bundle/testing";
import { encode, type Link, type PowerMessage, topic } from "@wattvox/link";
import test, { type ExecutionContext } from "ava";
import { connect } from "./testing.ts";
import { BROKERS } from "./testing-brokers.ts";

const DEVICES = 5;
const REPORTS = 3;

interface Total {
	joules: number;
	utterances: number;
}

/** A collector's process, and what it says. */
async function collector(t: ExecutionContext, ...args: string[]) {
	const child: ChildProcess = fork(
		new URL("./testing-collector-main.js", import.meta.url),
		args,
	);
	const kill = async () => {
		if (child.exitCode !== null || child.signalCode) return;
		const gone = once(child, "exit");
		child.kill("SIGKILL");
		await gone;
	};
	t.teardown(kill);
	const said: unknown[] = [];
	child.on("message", (message) => said.push(message));
	const hears = async <T>(found: (message: unknown) => T | undefined) => {
		for (let next = 0; ; ) {
			while (next < said.length) {
				const got = found(said[next++]);
				if (got !== undefined) return got;
			}
			await once(child, "message");
		}
	};
	const url = await hears((m) => (m as { url?: string }).url);
	return {
		url,
		kill,
		stopped: () => hears((m) => (m === "stopped" ? true : undefined)),
		received: (n: number) =>
			hears(
				(m) => ((m as { received?: number }).received ?? 0) >= n || undefined,
			),
		async total(): Promise<Total> {
			said.length = 0;
			child.send("total");
			return hears((m) => ("joules" in Object(m) ? (m as Total) : undefined));
		},
	};
}

function report(device: string, sequence: number): PowerMessage {
	const n = Number(device.split("-")[1]) + 1;
	return {
		...{
			v: 1,
			device,
			boot: "b1",
			sequence,
			measured: true,
			sensor: "ina3221",
		},
		millijoules: 1_000_001 * n + 17 * sequence,
		...{ utterances: sequence + 1, audioSeconds: 2, computeSeconds: 1 },
		...{ voice: null, at: new Date().toISOString() },
	};
}

/** What all devices drew, from their last reports. */
const EXPECTED = Array.from({ length: DEVICES }, (_, i) =>
	Number(report(`device-${i}`, REPORTS - 1).millijoules),
).reduce((sum, mj) => sum + mj, 0);

function publish(links: readonly Link[]): Promise<void>[] {
	return links.flatMap((link, i) =>
		Array.from({ length: REPORTS }, (_, sequence) =>
			link.publish(
				topic("home", `device-${i}`, "power"),
				encode(report(`device-${i}`, sequence)),
				{ qos: 1 },
			),
		),
	);
}

async function devices(t: ExecutionContext, url: string): Promise<Link[]> {
	const links = await Promise.all(
		Array.from({ length: DEVICES }, (_, i) => connect(url, `device-${i}`)),
	);
	for (const link of links) t.teardown(() => link.stop());
	return links;
}

for (const kind of BROKERS.filter((b) => b.name !== "aedes")) {
	const title = `${kind.name}: a collector killed between receipt and commit, and between commit and acknowledgement, loses nothing`;
	if (kind.missing)
		test.skip(`${title} (skipped: ${kind.missing})`, () => undefined);
	else
		test(title, async (t) => {
			t.timeout(120_000);
			const dir = await temporaryDir(t);
			const broker = await kind.make(join(dir, "broker"));
			t.teardown(() => broker.stop());
			const start = (stop: string) => collector(t, dir, broker.url, stop);
			const first = await start("writing");
			const links = await devices(t, broker.url);
			// the broker has told the devices that these arrived: nobody sends them again
			await Promise.all(publish(links));
			await first.received(DEVICES * REPORTS);
			await first.stopped();
			await first.kill();
			const second = await start("written");
			await second.stopped();
			await second.kill();
			const third = await start("never");
			// behind all that the broker kept
			await links[0]?.publish(
				topic("home", "marker", "power"),
				encode({ ...report("device-0", 0), device: "marker", millijoules: 0 }),
				{ qos: 1 },
			);
			const all = DEVICES * REPORTS + 1;
			let total = await third.total();
			while (total.utterances < all) total = await third.total();
			t.is(Math.round(total.joules * 1000), EXPECTED);
		});
}

test("the embedded broker: a device is told when its report is committed, so that a crash loses nothing", async (t) => {
	t.timeout(120_000);
	const dir = await temporaryDir(t);
	const first = await collector(t, dir, "0", "writing");
	const port = new URL(first.url).port;
	const links = await devices(t, first.url);
	let told = 0;
	const published = publish(links).map((p) => p.then(() => told++));
	await first.received(DEVICES * REPORTS);
	await first.stopped();
	await first.kill();
	const second = await collector(t, dir, port, "written");
	await second.stopped();
	await second.kill();
	t.is(told, 0, "none was committed and acknowledged yet");
	const third = await collector(t, dir, port, "never");
	await Promise.all(published);
	const { joules } = await third.total();
	t.is(Math.round(joules * 1000), EXPECTED);
});
