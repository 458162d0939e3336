/**
 * The devices of `bench fleet`, a process of its own: each has an MQTT connection and reports its
 * cumulative millijoules every period.
 *
 * argv: broker, devices, seconds, period in seconds. Over IPC it sends {connected}, waits for "go",
 * and ends with what was sent and acknowledged.
 */
import { setTimeout as delay } from "node:timers/promises";
import { encode, Link, type PowerMessage, topic } from "@wattvox/link";

const [url = "", devices = 0, seconds = 0, period = 10] = process.argv
	.slice(2)
	.map((text, i) => (i === 0 ? text : Number(text))) as [
	string,
	number,
	number,
	number,
];

/** So many connect at once: a broker's queue of new connections is short. */
const AT_ONCE = 50;

class Device {
	readonly link: Link;
	readonly name: string;
	millijoules = 0;
	sequence = 0;
	constructor(i: number) {
		this.name = `device-${i}`;
		this.link = new Link({
			...{ url, clientId: this.name, connectTimeoutMs: 120_000 },
			keepaliveSeconds: 120,
		});
	}
	async report(): Promise<void> {
		this.millijoules += 30_000 + Math.floor(Math.random() * 40_000);
		const message: PowerMessage = {
			...{ v: 1, device: this.name, boot: "b1", sequence: this.sequence++ },
			...{ millijoules: this.millijoules, measured: true, sensor: "ina3221" },
			speechMillijoules: Math.floor(this.millijoules / 3),
			...{ utterances: this.sequence, audioSeconds: this.sequence * 2.5 },
			computeSeconds: this.sequence * 0.4,
			voice: "ab".repeat(32),
			deviceClass: "orin-nano",
			at: new Date().toISOString(),
		};
		await this.link.publish(
			topic("bench", this.name, "power"),
			encode(message),
			{ qos: 1 },
		);
	}
}

const all = Array.from({ length: devices }, (_, i) => new Device(i));
for (let at = 0; at < all.length; at += AT_ONCE)
	await Promise.all(all.slice(at, at + AT_ONCE).map((d) => d.link.start()));
process.send?.({ connected: all.length });
await new Promise<void>((resolve) => process.once("message", () => resolve()));

let failed = 0;
let slowest = 0;
const stop = performance.now() + seconds * 1000;
const pending = new Set<Promise<void>>();
await Promise.all(
	all.map(async (device, i) => {
		await delay((i / devices) * period * 1000);
		for (let next = performance.now(); next < stop; next += period * 1000) {
			await delay(Math.max(0, next - performance.now()));
			const begin = performance.now();
			const sent = device.report().then(
				() => {
					slowest = Math.max(slowest, performance.now() - begin);
				},
				() => {
					failed++;
				},
			);
			pending.add(sent);
			sent.finally(() => pending.delete(sent));
		}
	}),
);
await Promise.all(pending);
process.send?.({
	reports: all.reduce((sum, d) => sum + d.sequence, 0),
	millijoules: all.reduce((sum, d) => sum + d.millijoules, 0),
	lostConnections: all.reduce((sum, d) => sum + d.link.counters.lost, 0),
	...{ failed, slowestMs: slowest },
});
await Promise.all(all.map((d) => d.link.stop()));
process.disconnect?.();
