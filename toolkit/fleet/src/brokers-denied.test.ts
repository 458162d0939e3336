import { join } from "node:path";
import { temporaryDir } from "@wattvox/bundle/testing";
import { systemClock, type WattvoxError } from "@wattvox/core";
import { Link, topic } from "@wattvox/link";
import { Aedes } from "aedes";
import test, { type ExecutionContext } from "ava";
import { connect } from "./testing.ts";
import { listening } from "./testing-aedes.ts";
import {
	DENYING,
	type DenyingKind,
	FORBIDDEN,
	pullInVain,
} from "./testing-denying.ts";

const OPEN = topic("home", "jetson-1", "desired");
const CLOSED = `${FORBIDDEN}/desired`;

async function contract(t: ExecutionContext, kind: DenyingKind) {
	t.timeout(180_000);
	const dir = await temporaryDir(t);
	const broker = await kind.make(join(dir, "broker"));
	t.teardown(() => broker.stop());
	const options = {
		...kind.account,
		reconnectMs: { base: 10, max: 50 },
		answerMs: kind.silent ? 800 : 600_000,
		// what is denied stays so here
		deniedMs: { base: 3_600_000, max: 3_600_000 },
	};
	const publisher = await connect(broker.url, "publisher", options);
	t.teardown(() => publisher.stop());

	// before the link starts: it starts all the same, with what it may have
	const link = new Link({
		...{ url: broker.url, clientId: "jetson-2", ...options },
		connectTimeoutMs: 60_000,
	});
	t.teardown(() => link.stop());
	const heard: string[] = [];
	const waiting: (() => void)[] = [];
	const hear = (name: string) => {
		heard.push(name);
		for (const go of waiting.splice(0)) go();
	};
	const denied: (string | undefined)[] = [];
	await link.subscribe(OPEN, hear);
	const deny = (why: WattvoxError | null) => denied.push(why?.code);
	await link.subscribe(CLOSED, hear, undefined, deny);
	await link.start();
	t.true(link.ready);
	t.deepEqual([...new Set(denied)], kind.tells ? ["E_DENIED"] : []);

	// later: whoever asks is told, and the rest goes on
	const other = link.subscribe(`${FORBIDDEN}/root`, hear);
	if (kind.tells) await t.throwsAsync(other, { code: "E_DENIED" });
	else await other;
	await link.whenReady();
	const wish = Buffer.from("wish");
	await publisher.publish(CLOSED, wish, { qos: 1 });
	const came = new Promise<void>((resolve) => waiting.push(resolve));
	await publisher.publish(OPEN, wish, { qos: 1, retain: true });
	await came;
	t.deepEqual(heard, [OPEN]);

	// every further one would wait as long
	if (kind.silent) return;
	// a pull
	await t.throwsAsync(
		pullInVain(link, "jetson-2", dir, {
			stallMs: kind.tells ? 60_000 : 50,
			stallLimit: 2,
		}),
		{ code: kind.tells ? "E_DENIED" : "E_TIMEOUT" },
	);

	// nobody listens for the denial: then it ends the start
	const deaf = new Link({
		...{ url: broker.url, clientId: "deaf", ...options },
		connectTimeoutMs: 60_000,
	});
	t.teardown(() => deaf.stop());
	await deaf.subscribe(CLOSED, hear);
	if (kind.tells) await t.throwsAsync(deaf.start(), { code: "E_DENIED" });
	else await deaf.start();
}

for (const kind of DENYING) {
	const name = `a topic that is denied: ${kind.name}`;
	if (kind.missing)
		test.skip(`${name} (skipped: ${kind.missing})`, () => undefined);
	else test(name, (t) => contract(t, kind));
}

/**
 * @param presenceMs what the broker takes over the link's presence
 * @param earlyMs how much too early the link's timers ring
 */
async function later(t: ExecutionContext, presenceMs: number, earlyMs: number) {
	t.timeout(120_000);
	let now = 0;
	let may = false;
	const aedes = await Aedes.createBroker({
		authorizeSubscribe: (_, subscription, done) =>
			done(null, may ? subscription : null),
		authorizePublish: (client, _, done) =>
			void setTimeout(() => done(null), client ? presenceMs : 0),
	});
	const port = await listening(t, aedes);
	const link = new Link({
		...{ url: `mqtt://127.0.0.1:${port}`, clientId: "d" },
		presence: { fleet: "f", device: "d" },
		deniedMs: { base: 20, max: 20 },
		connectTimeoutMs: 60_000,
		clock: {
			wall: () => systemClock.wall(),
			monotonic: () => now,
			async sleep(ms, signal) {
				const from = now;
				await systemClock.sleep(ms, signal);
				now = Math.max(now, from + ms - earlyMs);
			},
		},
	});
	t.teardown(() => link.stop());
	const granted = new Promise<void>((resolve) => {
		const told = (why: WattvoxError | null) => why ?? resolve();
		void link.subscribe("a/b", () => undefined, undefined, told);
	});
	await link.start();
	may = true;
	await granted;
	t.true(link.ready);
}

test("what was denied before the link was ready is asked for again once it is", (t) =>
	later(t, 300, 0));

test("what was denied is asked for again, also where a timer rings a hair too early", (t) =>
	later(t, 0, 2));
