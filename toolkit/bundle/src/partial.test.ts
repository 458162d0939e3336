import { readdir } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import { type Disk, systemDisk } from "./disk.ts";
import { hashBytes } from "./hash.ts";
import { BLOCK_BYTES } from "./names.ts";
import { PartialBlob } from "./partial.ts";
import { sampleBytes, temporaryDir } from "./testing.ts";

const bytes = sampleBytes(3 * BLOCK_BYTES, "three blocks");
const file = hashBytes(bytes);
const block = (index: number) =>
	bytes.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES);

/** A disk whose flushes a test decides about. */
function diskThatFlushes(flush: () => Promise<void>): Disk {
	return {
		...systemDisk,
		async open(path, flags, mode) {
			const handle = await systemDisk.open(path, flags, mode);
			const real = handle.datasync.bind(handle);
			return Object.assign(handle, {
				datasync: async () => {
					await flush();
					await real();
				},
			});
		},
	};
}

test("what is written while a flush runs is present after the next one", async (t) => {
	const path = join(await temporaryDir(t), "a.part");
	const ends: (() => void)[] = [];
	const began: (() => void)[] = [];
	const disk = diskThatFlushes(
		() =>
			new Promise((resolve) => {
				ends.push(resolve);
				began.shift()?.();
			}),
	);
	const part = await PartialBlob.open(path, file, { disk });
	const beginning = () => new Promise<void>((resolve) => began.push(resolve));
	const first = beginning();
	t.true(part.take(0, block(0)));
	const flushed = part.flush();
	await first;
	t.is(part.missingCount, 3, "not before the flush has ended");
	const second = beginning();
	t.true(part.take(1, block(1)));
	const later = part.write(2, block(2));
	const both = part.flush();
	ends[0]?.();
	await flushed;
	t.deepEqual(part.missing(), [1, 2]);
	await second;
	ends[1]?.();
	await Promise.all([later, both]);
	t.is(part.missingBytes, 0);
	t.is(ends.length, 2, "they shared it");
	t.false(part.take(0, block(1)));
	await part.flush();
	t.is(ends.length, 2, "nothing to flush");
	await part.close();
});

test("a flush that fails leaves nothing that could be taken for present", async (t) => {
	const dir = await temporaryDir(t);
	const path = join(dir, "a.part");
	let fails = false;
	const disk = diskThatFlushes(async () => {
		if (fails) throw Object.assign(new Error("EIO"), { code: "EIO" });
	});
	const part = await PartialBlob.open(path, file, { disk });
	await part.write(0, block(0));
	fails = true;
	await t.throwsAsync(part.write(1, block(1)), { code: "E_OUTPUT" });
	fails = false;
	// the system would say yes now, about pages that it has given up
	await t.throwsAsync(part.write(2, block(2)), { code: "E_OUTPUT" });
	t.deepEqual(part.missing(), [1, 2]);
	await part.close();
	t.deepEqual(await readdir(dir), []);
	const again = await PartialBlob.open(path, file);
	t.is(again.missingCount, 3);
	await again.close();
});

test("what a killed process left is flushed before it counts", async (t) => {
	const path = join(await temporaryDir(t), "a.part");
	let flushes = 0;
	const disk = diskThatFlushes(async () => {
		flushes++;
	});
	const part = await PartialBlob.open(path, file, { disk });
	await part.write(0, block(0));
	await part.close();
	t.is(flushes, 1);
	const again = await PartialBlob.open(path, file, { disk });
	t.is(flushes, 2);
	t.deepEqual(again.missing(), [1, 2]);
	await again.close();
});
