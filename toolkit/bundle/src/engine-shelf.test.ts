import {
	mkdir,
	readdir,
	readFile,
	rm,
	utimes,
	writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { EngineShelf } from "./engine-shelf.ts";
import { newKey } from "./keys.ts";
import { PartialBlob } from "./partial.ts";
import { FolderStore } from "./store.ts";
import { sampleEngine, temporaryDir } from "./testing.ts";

const builder = newKey();
type Sample = ReturnType<typeof sampleEngine>;

async function take(shelf: EngineShelf, { plan, file, head }: Sample) {
	const part = await PartialBlob.open(await shelf.partPath(file), file);
	for (const index of part.missing())
		await part.write(index, plan.subarray(index << 16, (index + 1) << 16));
	await part.finish(shelf.planPath(file.sha256));
	return shelf.put(head);
}

/** Sets when an engine was put, so that no clock decides which is the oldest. */
async function putAt(shelf: EngineShelf, { name }: Sample, seconds: number) {
	await utimes(join(shelf.dir, "heads", `${name}.json`), seconds, seconds);
}

const engines = (n: number) =>
	Array.from({ length: n }, (_, i) =>
		sampleEngine(builder, { seed: `e${i}`, bytes: 100_000 }),
	);

async function aShelf(t: ExecutionContext, options = {}) {
	return new EngineShelf(join(await temporaryDir(t), "engines"), options);
}

test("an engine that was put is read back, head and blocks; a store offers it", async (t) => {
	const store = new FolderStore(await temporaryDir(t));
	const one = sampleEngine(builder);
	t.is(await store.readEngine(one.name), undefined);
	await take(store.engines, one);
	t.deepEqual(await store.readEngine(one.name), one.head);
	const blocks: Buffer[] = [];
	for (let i = 0; ; i++) {
		const block = await store.readBlock(one.file.sha256, i);
		if (!block) break;
		blocks.push(block);
	}
	t.deepEqual(Buffer.concat(blocks), one.plan);
	t.deepEqual(await store.engines.names(), [one.name]);
	await store.drop([]);
	t.deepEqual(await store.engines.names(), [one.name], "no bundle's to drop");
});

test("a head without its plan is no engine; a plan without a head goes with the next", async (t) => {
	const shelf = await aShelf(t);
	const [one, two] = engines(2) as [Sample, Sample];
	await t.throwsAsync(shelf.put(one.head), { code: "E_BUG" });
	await take(shelf, one);
	await rm(shelf.planPath(one.file.sha256));
	t.deepEqual(await shelf.names(), []);
	await writeFile(shelf.planPath("c".repeat(64)), "left by a crash");
	await writeFile(join(shelf.dir, "heads", ".half.tmp"), "left by a crash");
	await take(shelf, two);
	t.deepEqual(await readdir(join(shelf.dir, "plans")), [two.file.sha256]);
	t.deepEqual(await readdir(join(shelf.dir, "heads")), [`${two.name}.json`]);
});

test("a newer engine of the same name takes the place of the older and of its plan", async (t) => {
	const shelf = await aShelf(t);
	const [one] = engines(1) as [Sample];
	await take(shelf, one);
	const again = sampleEngine(builder, { seed: "e0", bytes: 120_000 });
	t.is(again.name, one.name);
	await take(shelf, again);
	t.deepEqual(await shelf.names(), [one.name]);
	t.deepEqual(await readFile(shelf.planPath(again.file.sha256)), again.plan);
	t.false(await shelf.hasPlan(one.file));
});

test("the bound holds: the oldest go, the one just put stays", async (t) => {
	const shelf = await aShelf(t, { bytes: 250_000 });
	const [a, b, c] = engines(3) as [Sample, Sample, Sample];
	await take(shelf, a);
	await putAt(shelf, a, 2000);
	await take(shelf, b);
	await putAt(shelf, b, 1000);
	await take(shelf, c);
	t.deepEqual(await shelf.names(), [a.name, c.name].sort());
	t.is((await readdir(join(shelf.dir, "plans"))).length, 2);
	const small = await aShelf(t, { bytes: 10, count: 1 });
	await take(small, a);
	t.deepEqual(await small.names(), [a.name]);
});

test("only the last few interrupted uploads are kept", async (t) => {
	const shelf = await aShelf(t);
	const incoming = join(shelf.dir, "incoming");
	await mkdir(incoming, { recursive: true });
	for (let i = 0; i < 8; i++) {
		const path = join(incoming, `${String(i).repeat(64)}.part`);
		await writeFile(path, "x");
		await utimes(path, i, i);
	}
	const [one] = engines(1) as [Sample];
	const path = await shelf.partPath(one.file);
	await writeFile(path, "y");
	t.deepEqual(
		(await readdir(incoming)).sort(),
		[5, 6, 7]
			.map((i) => `${String(i).repeat(64)}.part`)
			.concat(`${one.file.sha256}.part`)
			.sort(),
	);
});
