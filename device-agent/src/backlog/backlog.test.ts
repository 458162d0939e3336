import {
	appendFile,
	mkdir,
	readFile,
	rm,
	stat,
	writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import { folder, reading, utterance } from "./_entries.test.ts";
import { Backlog } from "./backlog.ts";
import type { Entry } from "./entries.ts";

const ALL = { power: 1e9, utterance: 1e9 } as const;

/** Everything that waits, as it would be sent. */
function rest(backlog: Backlog): Entry[] {
	const found: Entry[] = [];
	for (
		let batch = backlog.take(ALL);
		batch.length > 0;
		batch = backlog.take(ALL)
	)
		found.push(...batch);
	backlog.back(found);
	return found;
}

async function opened(dir: string, maxBytes?: number): Promise<Backlog> {
	const backlog = new Backlog(dir, maxBytes === undefined ? {} : { maxBytes });
	await backlog.open();
	return backlog;
}

test("what waits outlives the process, and leaves with its acknowledgement", async (t) => {
	const dir = await folder(t);
	const first = await opened(dir);
	await first.add(utterance("a", 0));
	await first.add(reading("a", 0));
	await first.add(utterance("a", 1));
	const taken = first.take({ power: 5, utterance: 1 });
	t.deepEqual(taken, [utterance("a", 0)]);
	// one after the other: the next is of the oldest stream that is left
	t.deepEqual(first.take({ power: 5, utterance: 1 }), [reading("a", 0)]);
	await first.sent(taken);
	// not closed: it was killed. What was not all acknowledged may come again, nothing is missing
	const second = await opened(dir);
	t.is(second.log, first.log);
	const names = rest(second).map(({ stream, body }) =>
		"n" in body ? `${stream} ${body.n}` : `${stream} ${body.sequence}`,
	);
	t.deepEqual(names, ["utterance 0", "utterance 1", "power 0"]);
	await second.sent(rest(second));
	t.is(second.length, 0);
	const third = await opened(dir);
	t.deepEqual(rest(third), []);
	t.deepEqual(third.lost, { utterances: 0, readings: 0, boots: 0, damaged: 0 });
	for (const backlog of [first, second, third]) await backlog.close();
});

test("of a minute's readings the newest waits, in the place of the first; one that is on its way is not replaced", async (t) => {
	const backlog = await opened(await folder(t));
	await backlog.add(reading("a", 0, 0));
	await backlog.add(reading("b", 0, 0));
	await backlog.add(reading("a", 1, 0));
	t.deepEqual(rest(backlog), [reading("a", 1, 0), reading("b", 0, 0)]);
	backlog.take(ALL);
	await backlog.add(reading("a", 2, 0));
	t.is(backlog.length, 3);
	await backlog.close();
});

test("cut off at any byte it gives all entries before the cut, and goes on", async (t) => {
	const dir = await folder(t);
	const path = join(dir, "backlog.log");
	const backlog = await opened(dir);
	const entries = [utterance("a", 0), reading("a", 0), utterance("a", 1)];
	for (const entry of entries) await backlog.add(entry);
	await backlog.close();
	const bytes = await readFile(path);
	const ends = [...bytes.keys()].filter((i) => bytes[i] === 0x0a);
	const near = ends.flatMap((end) => [end - 1, end, end + 1]);
	for (const cut of [0, 1, 9, 40, 200, 400, ...near]) {
		await writeFile(path, bytes.subarray(0, cut));
		const again = await opened(dir);
		// a last line that lacks its line feed alone is whole
		const whole = ends.slice(1).filter((end) => cut >= end).length;
		t.is(again.length, whole, `cut at ${cut}`);
		await again.add(utterance("b", 7));
		await again.close();
		const later = await opened(dir);
		t.is(later.length, whole + 1);
		await later.close();
	}
});

test("a damaged line costs itself and is counted; zeros are no entries", async (t) => {
	const dir = await folder(t);
	const path = join(dir, "backlog.log");
	const backlog = await opened(dir);
	for (let n = 0; n < 5; n++) await backlog.add(utterance("a", n));
	await backlog.close();
	const bytes = await readFile(path);
	const at = bytes.indexOf('"n":2');
	bytes[at + 4] = 0x39;
	await writeFile(path, bytes);
	await appendFile(path, Buffer.alloc(300));
	const again = await opened(dir);
	t.deepEqual(
		rest(again).map(({ body }) => "n" in body && body.n),
		[0, 1, 3, 4],
	);
	t.is(again.lost.damaged, 2);
	await again.close();
	// counted once
	const later = await opened(dir);
	t.is(later.lost.damaged, 2);
	t.is(later.log, backlog.log);
	await later.close();
});

test("it is bounded on disk and in memory, and what went is counted across restarts", async (t) => {
	const dir = await folder(t);
	const max = 20_000;
	let backlog = await opened(dir, max);
	let largest = 0;
	for (let n = 0; n < 400; n++) {
		await backlog.add(utterance("a", n));
		await backlog.add(reading("a", n, Math.floor(n / 3)));
		largest = Math.max(largest, (await stat(join(dir, "backlog.log"))).size);
		if (n % 100 === 50) backlog = await opened(dir, max);
	}
	t.true(largest <= 2 * max + 65_536 + 1000, `${largest}`);
	const left = rest(backlog);
	t.true(JSON.stringify(left).length <= max + 500);
	const { utterances, readings, boots, damaged } = backlog.lost;
	const spoken = left.filter((e) => e.stream === "utterance");
	t.is(spoken.length + utterances, 400);
	t.true(readings > 0);
	t.is(boots + damaged, 0);
	// the totals are exact whatever went
	t.true(left.some((e) => e.stream === "power" && e.body.sequence === 399));
	t.deepEqual(spoken.at(-1), utterance("a", 399));
	await backlog.close();
});

test("a disk that takes nothing stops nobody, and what waited is written when it does again", async (t) => {
	const dir = await folder(t);
	const troubles: string[] = [];
	const backlog = new Backlog(dir, {
		onTrouble: ({ code }) => troubles.push(code),
	});
	await backlog.open();
	await backlog.add(utterance("a", 0));
	await backlog.close();
	// a folder in the file's place refuses every write, whoever asks
	await rm(join(dir, "backlog.log"));
	const blocker = join(dir, "backlog.log", "x");
	await mkdir(blocker, { recursive: true });
	await backlog.add(utterance("a", 1));
	t.deepEqual(troubles, ["E_OUTPUT"]);
	t.is(backlog.length, 2);
	await rm(join(dir, "backlog.log"), { recursive: true });
	await backlog.add(utterance("a", 2));
	const again = await opened(dir);
	t.is(again.length, 3);
	await again.close();
	await backlog.close();
});
