import { join } from "node:path";
import { temporaryDir } from "@wattvox/bundle/testing";
import type { WattvoxError } from "@wattvox/core";
import { Link, topic } from "@wattvox/link";
import test, { type ExecutionContext } from "ava";
import { connect } from "./testing.ts";
import {
	DENYING,
	type DenyingKind,
	pullInVain,
	UNWRITABLE,
} from "./testing-denying.ts";

const CLOSED = `${UNWRITABLE}/power`;
const OPEN = topic("home", "jetson-1", "power");
const body = Buffer.from("-");

/** A connection that ends while messages are under way, one per suspect, and four more: no more than this. */
const CONNECTIONS = 10;

async function contract(t: ExecutionContext, kind: DenyingKind) {
	t.timeout(180_000);
	const dir = await temporaryDir(t);
	const broker = await kind.make(join(dir, "broker"));
	t.teardown(() => broker.stop());
	const options = {
		...kind.account,
		reconnectMs: { base: 10, max: 50 },
		...(kind.silent
			? { answerMs: 800, keepaliveSeconds: 2 }
			: { answerMs: 600_000 }),
		// what is denied stays so here
		deniedMs: { base: 3_600_000, max: 3_600_000 },
	};
	const hub = await connect(broker.url, "hub", options);
	t.teardown(() => hub.stop());
	const heard = new Set<string>();
	let last: () => void = () => undefined;
	const end = new Promise<void>((resolve) => (last = resolve));
	await hub.subscribe(OPEN, (_, payload) => {
		heard.add(String(payload));
		if (String(payload) === "last") last();
	});

	// its presence may not be published either: it starts all the same
	const told: [string, string | undefined][] = [];
	const link = new Link({
		...{ url: broker.url, clientId: "jetson-3", ...options },
		presence: { fleet: "home", device: "jetson-3" },
		connectTimeoutMs: 120_000,
		onPublishDenied: (name, why) => told.push([name, why?.code]),
	});
	t.teardown(() => link.stop());
	await link.start();
	t.true(link.counters.connects <= CONNECTIONS);
	const denied = (name: string) =>
		kind.cuts ? [[`${UNWRITABLE}/${name}`, "E_DENIED"]] : [];
	t.deepEqual(told.splice(0), denied("presence"));

	const before = link.counters.connects;
	const messages = [
		link.publish(OPEN, Buffer.from("1"), { qos: 1 }),
		link.publish(CLOSED, body, { qos: 1 }),
		link.publish(OPEN, Buffer.from("2"), { qos: 1 }),
		link.publish(CLOSED, body, { qos: 1 }),
	].map((sent) =>
		sent.then(
			() => "sent",
			(thrown: WattvoxError) => thrown.code,
		),
	);
	const closed = kind.cuts ? "E_DENIED" : "sent";
	t.deepEqual(await Promise.all(messages), ["sent", closed, "sent", closed]);
	t.true(link.counters.connects - before <= CONNECTIONS);
	t.deepEqual(told, denied("power"));

	// while that holds it costs nothing, and the rest goes on
	await link.whenReady();
	const then = link.counters.connects;
	const again = link.publish(CLOSED, body, { qos: 1 });
	if (kind.cuts) await t.throwsAsync(again, { code: "E_DENIED" });
	else await again;
	await link.publish(OPEN, Buffer.from("3"), { qos: 1 });
	// one that is silent is left, sooner or later, by who keeps the connection alive
	if (!kind.silent) t.is(link.counters.connects, then);
	await hub.publish(OPEN, Buffer.from("last"), { qos: 1 });
	await end;
	t.deepEqual([...heard].sort(), ["1", "2", "3", "last"]);

	// each request of a pull would wait as long as the broker is silent
	if (kind.silent) return;
	await t.throwsAsync(
		pullInVain(link, "jetson-3", dir, {
			stallMs: kind.cuts ? 60_000 : 50,
			stallLimit: 3,
		}),
		{ code: kind.cuts ? "E_DENIED" : "E_TIMEOUT" },
	);
}

for (const kind of DENYING) {
	const name = `a topic on which nothing may be published: ${kind.name}`;
	if (kind.missing)
		test.skip(`${name} (skipped: ${kind.missing})`, () => undefined);
	else test(name, (t) => contract(t, kind));
}
