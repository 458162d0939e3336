/**
 * The fleet's side of `bench fleet`, a process of its own: broker (or a link to one that is there),
 * power store and collector, as `fleet serve` has them.
 *
 * argv: where the power database is, and the broker's address or "". Over IPC it sends {url} once it
 * listens, answers "stats", and "finish" with totals and the time that questions take.
 */
import { Broker, Collector, powerStore, powerTable } from "@wattvox/fleet";
import { Link } from "@wattvox/link";

const [where = "", broker = ""] = process.argv.slice(2);
const store = powerStore(where);
await store.start();
const own = broker === "" ? new Broker({ port: 0 }) : undefined;
const link = own
	? undefined
	: new Link({
			...{ url: broker, clientId: "collector", persistent: true },
			connectTimeoutMs: 60_000,
		});
let errors = 0;
const feed = own?.feed ?? link;
if (!feed) throw new Error("no broker");
const collector = new Collector({ link: feed, store, onError: () => errors++ });
await collector.start();
await own?.start();
await link?.start();
const url = own?.url ?? broker;

let peak = 0;
const memory: number[] = [];
const look = () => {
	peak = Math.max(peak, process.memoryUsage.rss());
};
setInterval(look, 500).unref();
const note = () => memory.push(process.memoryUsage.rss());
setInterval(note, 30_000).unref();

async function timed<T>(work: () => Promise<T>): Promise<[T, number]> {
	const begin = performance.now();
	const result = await work();
	return [result, performance.now() - begin];
}

process.on("message", async (asked) => {
	look();
	const stats = {
		...{ counters: collector.counters, errors, peak, memory },
		...{ clients: own?.clients ?? null, cpu: process.cpuUsage() },
	};
	if (asked !== "finish") return process.send?.(stats);
	note();
	await collector.stop();
	await link?.stop();
	const day = 86_400_000;
	const since = Date.now() - (Date.now() % day);
	const times: number[] = [];
	for (let i = 0; i < 5; i++)
		times.push(
			(await timed(() => powerTable(store, { since, by: "hour" })))[1],
		);
	const [all, allMs] = await timed(() => store.usage());
	const [devices, devicesMs] = await timed(() =>
		powerTable(store, { since, by: "device" }),
	);
	look();
	process.send?.({
		...{ ...stats, peak, dayMs: times, allMs, devicesMs },
		joules: all.rows[0]?.measured?.joules ?? null,
		devices: devices.rows.length,
	});
	await store.stop();
	await own?.stop();
	process.exit();
});
process.once("disconnect", () => process.exit());
process.send?.({ url });
