import { setImmediate } from "node:timers/promises";
import { ManualClock, type WattvoxError } from "@wattvox/core";
import test from "ava";
import { type Outgoing, Publications, type Send } from "./publications.ts";

const lost = new Error("the connection was lost");
const message = (topic: string, text = ""): Outgoing => ({
	...{ topic, payload: Buffer.from(text), retain: false },
});

interface Sent {
	text: string;
	topic: string;
	resolve: () => void;
	reject: (why: Error) => void;
}

/** Publications, and a broker that takes messages one after the other and ends the connection over some topics. */
function setUp(limit = 1000) {
	const clock = new ManualClock();
	const bad = new Set<string>();
	const told: string[] = [];
	/** What came to the broker, a connection each. */
	const came: string[][] = [];
	const results: Record<string, string> = {};
	let under: Sent[] = [];
	let alive = false;
	const publications = new Publications({
		...{ clock, limit, random: () => 1, againMs: { base: 1000, max: 3000 } },
		onDenied: (topic, why) => told.push(`${topic} ${why?.code ?? "open"}`),
	});
	const cut = () => {
		alive = false;
		publications.lost();
		for (const { reject } of under.splice(0)) reject(lost);
	};
	const send: Send = ({ topic, payload }) =>
		new Promise((resolve, reject) => {
			const text = `${topic}${payload}`;
			under.push({ text, topic, resolve, reject });
		});
	/** The broker reads what was sent. */
	const read = async () => {
		for (let quiet = 0; quiet < 3; quiet++) {
			await setImmediate();
			for (const sent of [...under]) {
				if (!alive) return;
				quiet = 0;
				came.at(-1)?.push(sent.text);
				if (bad.has(sent.topic)) return cut();
				under = under.filter((other) => other !== sent);
				sent.resolve();
			}
		}
	};
	/** A new connection. @returns whether it stands */
	const connect = async (first?: Outgoing) => {
		came.push([]);
		alive = true;
		const begun = publications.begin(send, first).then(
			() => publications.open(send),
			() => publications.lost(),
		);
		await read();
		await begun;
		await read();
		return alive;
	};
	/** Connects until it stands. @returns how often */
	const mend = async () => {
		for (let n = 1; ; n++) if (await connect()) return n;
	};
	const add = (topic: string, text = "") => {
		publications.add(message(topic, text)).then(
			() => (results[`${topic}${text}`] = "sent"),
			(thrown: WattvoxError) => (results[`${topic}${text}`] = thrown.code),
		);
	};
	return {
		...{ clock, bad, told, came, results, publications },
		...{ cut, connect, mend, add, read },
	};
}

test("a topic that ends connections is found among others, and denied; they are sent", async (t) => {
	const s = setUp();
	s.bad.add("c");
	for (const topic of ["a", "b", "c", "d", "e"])
		for (const text of ["1", "2"]) s.add(topic, text);
	t.true((await s.mend()) <= 8);
	t.deepEqual(s.results, {
		...{ a1: "sent", a2: "sent", b1: "sent", b2: "sent" },
		...{ d1: "sent", d2: "sent", e1: "sent", e2: "sent" },
		...{ c1: "E_DENIED", c2: "E_DENIED" },
	});
	t.deepEqual(s.told, ["c E_DENIED"]);
	// and of each topic in the order in which they came
	const taken = s.came.flat().filter((m) => !m.startsWith("c"));
	for (const topic of ["a", "b", "d", "e"])
		t.deepEqual(
			[...new Set(taken.filter((m) => m.startsWith(topic)))],
			[`${topic}1`, `${topic}2`],
		);
});

test("among five hundred it takes few connections", async (t) => {
	const s = setUp();
	s.bad.add("t250");
	for (let n = 0; n < 500; n++) s.add(`t${n}`);
	t.true((await s.mend()) <= 16);
	t.is(s.results.t250, "E_DENIED");
	t.is(Object.values(s.results).filter((r) => r === "sent").length, 499);
});

test("connections that end by themselves deny nothing, however often", async (t) => {
	const s = setUp();
	t.true(await s.connect());
	for (let n = 0; n < 20; n++) {
		s.add("a", `${n}`);
		s.add("b", `${n}`);
		s.cut();
		t.true(await s.connect());
	}
	t.deepEqual([...new Set(Object.values(s.results))], ["sent"]);
	t.is(Object.keys(s.results).length, 40);
	t.deepEqual(s.told, []);
});

test("a denial costs nothing while it holds, is tried again after waits that double, and ends", async (t) => {
	const s = setUp();
	s.bad.add("a");
	s.add("a", "1");
	await s.mend();
	const before = s.came.length;
	s.add("a", "2");
	s.add("b", "2");
	await s.read();
	t.deepEqual(s.results, { a1: "E_DENIED", a2: "E_DENIED", b2: "sent" });
	t.is(s.came.length, before);
	t.true(s.publications.denied("a"));
	await s.clock.advance(1000);
	s.add("a", "3");
	await s.read();
	t.true((await s.mend()) <= 2);
	t.is(s.results.a3, "E_DENIED");
	await s.clock.advance(1999);
	s.add("a", "4");
	await s.read();
	t.is(s.results.a4, "E_DENIED");
	await s.clock.advance(1);
	s.bad.clear();
	s.add("a", "5");
	await s.read();
	t.is(s.results.a5, "sent");
	t.false(s.publications.denied("a"));
	t.deepEqual(s.told, ["a E_DENIED", "a E_DENIED", "a open"]);
});

test("what a connection begins with may be denied too, and is left out then", async (t) => {
	const s = setUp();
	s.bad.add("here");
	s.add("a");
	const of: boolean[] = [];
	for (let n = 0; n < 5; n++) of.push(await s.connect(message("here", `${n}`)));
	t.deepEqual(of, [false, false, false, false, true]);
	t.deepEqual(s.came, [["here0"], ["here1"], ["here2"], ["here3"], ["a"]]);
	t.deepEqual(s.told, ["here E_DENIED"]);
	await s.clock.advance(1000);
	s.bad.clear();
	t.true(await s.connect(message("here", "6")));
	t.deepEqual(s.came.at(-1), ["here6"]);
	t.is(s.told.at(-1), "here open");
});

test("what waits is bounded, and ends with the link", async (t) => {
	const s = setUp(2);
	for (const text of ["1", "2", "3"]) s.add("a", text);
	await s.read();
	t.deepEqual(s.results, { a3: "E_BUSY" });
	s.publications.fail(lost as WattvoxError);
	await s.read();
	t.is(Object.keys(s.results).length, 3);
	// and there is room again
	s.add("b");
	t.true(await s.connect());
	t.is(s.results.b, "sent");
});
