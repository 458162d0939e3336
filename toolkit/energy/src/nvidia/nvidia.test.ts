import { execFileSync } from "node:child_process";
import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import { findProgram } from "../find-program.ts";
import { between } from "../integrate.ts";
import { Meter } from "../meter.ts";
import { openPowerSource } from "../open.ts";
import { POWER_SOURCE_CONTRACT, type Subject } from "../source-contract.ts";
import { fakeProgram, nextReading } from "../testing.ts";
import { openNvidiaSmi, parseSmi } from "./nvidia-smi.ts";
import { type NvmlSource, openNvml } from "./nvml.ts";

const SOURCE = fileURLToPath(
	new URL("../../fixtures/nvml/fake-nvml.c", import.meta.url),
);
const FIXTURES = fileURLToPath(new URL("../../fixtures/", import.meta.url));
const gcc = findProgram("gcc");
const withLibrary = gcc ? test.serial : test.serial.skip;
const NAME = "libnvidia-ml.so.1";

let built: Promise<string> | undefined;
let folder = "";
/** The stand-in, compiled once. It reads what it says from the file that FAKE_NVML names. */
function library(): Promise<string> {
	built ??= (async () => {
		folder = await mkdtemp(join(tmpdir(), "wattvox-nvml-"));
		const path = join(folder, NAME);
		execFileSync(gcc as string, [
			"-shared",
			"-fPIC",
			"-O1",
			"-o",
			path,
			SOURCE,
		]);
		process.env.FAKE_NVML = join(folder, "state");
		return folder;
	})();
	return built;
}
test.after.always(() => rm(folder, { recursive: true, force: true }));

interface Card {
	name?: string;
	mJ?: number | string;
	mW?: number | string;
	percent?: number | string;
	degrees?: number | string;
}
async function cards(...list: Card[]): Promise<NodeJS.ProcessEnv> {
	const dir = await library();
	const lines = list.map(
		({
			name = "H100",
			mJ = 5_000_000,
			mW = 90_000,
			percent = 37,
			degrees = 41,
		}) => `${name} ${mJ} ${mW} ${percent} ${degrees} 2048 4096`,
	);
	await writeFile(join(dir, "state"), `${lines.join("\n")}\n`);
	return { LD_LIBRARY_PATH: dir };
}

async function nvml(t: ExecutionContext, ...list: Card[]): Promise<NvmlSource> {
	const env = await cards(...list);
	const source = await openNvml({ root: "/nowhere", env });
	if ("unavailable" in source) throw new Error(source.unavailable);
	t.teardown(() => source.close());
	return source;
}

async function reason(...list: Card[]): Promise<string> {
	const env = await cards(...list);
	const source = await openNvml({ root: "/nowhere", env });
	return "unavailable" in source ? source.unavailable : "available";
}

for (const clause of POWER_SOURCE_CONTRACT) {
	withLibrary(`nvml, energy counters: ${clause.name}`, async (t) => {
		const source = await nvml(t, {}, { name: "A100" });
		let mJ = 5_000_000;
		const spend = async () => {
			mJ += 1000;
			await cards({ mJ }, { name: "A100", mJ });
		};
		const subject: Subject = { source, spend };
		await t.notThrowsAsync(() => clause.check(subject));
	});
	withLibrary(`nvml, power alone: ${clause.name}`, async (t) => {
		const source = await nvml(t, { mJ: "-" });
		const subject: Subject = { source, spend: async () => undefined };
		await t.notThrowsAsync(() => clause.check(subject));
	});
}

withLibrary(
	"counters are preferred; where one card has none, power is",
	async (t) => {
		const counter = await nvml(t, {}, {});
		t.is(counter.kind, "counter");
		t.deepEqual(counter.describe().rails, ["gpu-0 H100", "gpu-1 H100"]);
		const gauge = await nvml(t, {}, { name: "P100", mJ: "-", mW: 30_000 });
		t.is(gauge.kind, "gauge");
		if (gauge.kind === "gauge") t.is((await gauge.read()).watts, 120);
	},
);

withLibrary(
	"NOT_SUPPORTED is unknown: never 0 W, never a card left out",
	async (t) => {
		t.regex(
			await reason({}, { name: "Orin", mJ: "-", mW: "-" }),
			/neither energy nor power: gpu-1 Orin: Not Supported/,
		);
		const source = await nvml(t, { percent: "-", degrees: "-", mW: "-" });
		t.deepEqual(await source.telemetry(), [
			{
				name: "gpu-0 H100",
				utilisation: null,
				temperatureC: null,
				memoryUsedBytes: 2048,
				memoryTotalBytes: 4096,
				watts: null,
			},
		]);
	},
);

withLibrary("telemetry: load, temperature, memory and power", async (t) => {
	const source = await nvml(t, {});
	t.like((await source.telemetry())[0], {
		utilisation: 0.37,
		temperatureC: 41,
		watts: 90,
	});
});

withLibrary(
	"a card that is lost is an error, and a hole in the coverage",
	async (t) => {
		const source = await nvml(t, {}, {});
		const meter = new Meter(source);
		const from = await meter.point();
		await cards({}, { mJ: "lost" });
		await t.throwsAsync(source.read(), {
			name: "WattvoxError",
			message: /gpu-1 H100: GPU is lost/,
		});
		t.is(between(from, await meter.point()).joules, null);
	},
);

withLibrary(
	"a counter past 32 bits is read whole; a driver that was reloaded is a reset",
	async (t) => {
		const source = await nvml(t, { mJ: 2 ** 40 });
		const meter = new Meter(source, { maxWatts: 1e12 });
		const from = await meter.point();
		await cards({ mJ: 2 ** 40 + 7000 });
		const to = await meter.point();
		t.is(between(from, to).joules, 7);
		await cards({ mJ: 12 });
		t.is(between(to, await meter.point()).joules, null);
	},
);

withLibrary(
	"a driver that is not loaded, no card, a broken library: said, not thrown",
	async (t) => {
		const dir = await library();
		await writeFile(join(dir, "state"), "init 9\n");
		const env = { LD_LIBRARY_PATH: dir };
		const open = () => openNvml({ root: "/nowhere", env });
		t.like(await open(), { unavailable: "NVML: Driver Not Loaded" });
		await writeFile(join(dir, "state"), "\n");
		t.like(await open(), { unavailable: "NVML: no graphics card" });
		const other = await mkdtemp(join(tmpdir(), "wattvox-nvml-"));
		t.teardown(() => rm(other, { recursive: true, force: true }));
		await copyFile(SOURCE, join(other, NAME));
		const broken = await openNvml({
			root: "/nowhere",
			env: { LD_LIBRARY_PATH: other },
		});
		t.regex("unavailable" in broken ? broken.unavailable : "", /libnvidia-ml/);
	},
);

withLibrary(
	"processors and cards of one machine are added, each by its own counter",
	async (t) => {
		const { source, skipped } = await openPowerSource({
			root: join(FIXTURES, "intel-server"),
			env: { ...(await cards({})), PATH: "/nowhere" },
		});
		t.teardown(() => source.close());
		t.like(source.describe(), {
			sensor: "rapl + nvml",
			rails: ["package-0", "package-1", "gpu-0 H100"],
			measured: true,
			parts: [
				{ sensor: "rapl", domain: "cpu" },
				{ sensor: "nvml", domain: "gpu" },
			],
		});
		t.deepEqual(
			skipped.map((s) => s.sensor),
			["ina3221", "tegrastats"],
		);
		const meter = new Meter(source);
		const from = await meter.point();
		await cards({ mJ: 5_003_000 });
		const to = await meter.point();
		t.is(between(from, to).joules, 3);
		t.deepEqual(to.parts, [0, 3]);
		// The processors stood still, so half of the machine's time is not covered.
		t.is(Math.round(between(from, to).coverage * 100), 50);
	},
);

test("no driver: nothing is loaded and the reason is said", async (t) => {
	t.deepEqual(await openNvml({ root: "/nowhere", env: {} }), {
		unavailable: "no libnvidia-ml.so.1: no NVIDIA driver",
	});
});

test("lines of nvidia-smi; what is not a number is unknown", (t) => {
	t.deepEqual(parseSmi("0, NVIDIA A100-SXM4-80GB, 61.34"), {
		index: 0,
		name: "NVIDIA A100-SXM4-80GB",
		watts: 61.34,
	});
	for (const word of ["[N/A]", "[Not Supported]", "[Unknown Error]"])
		t.is(parseSmi(`1, Orin, 8 GB (nvgpu), ${word}`)?.watts, null);
	t.is(parseSmi("No devices were found"), undefined);
});

/** Answers a query once, and prints on for --loop-ms. */
const SMI = (lines: string) => `case "$*" in
*--loop-ms*) while :; do printf '${lines}'; sleep 0.02; done ;;
*) printf '${lines}' ;;
esac`;

async function smi(t: ExecutionContext, lines: string) {
	const dir = await fakeProgram(t, "nvidia-smi", SMI(lines));
	const source = await openNvidiaSmi({ PATH: dir });
	if (!("unavailable" in source)) t.teardown(() => source.close());
	return source;
}

for (const clause of POWER_SOURCE_CONTRACT)
	test(`nvidia-smi: ${clause.name}`, async (t) => {
		const source = await smi(t, "0, A, 60.5\\n1, B, 20.5\\n");
		if ("unavailable" in source) return t.fail(source.unavailable);
		const subject: Subject = { source, spend: () => nextReading(source) };
		await t.notThrowsAsync(() => clause.check(subject));
	});

test("nvidia-smi: cards are added, one that tells no power makes it unavailable", async (t) => {
	const source = await smi(t, "0, A, 60.5\\n1, B, 20.5\\n");
	if ("unavailable" in source) return t.fail(source.unavailable);
	t.is((await source.read()).watts, 81);
	t.deepEqual(source.describe().rails, ["gpu-0 A", "gpu-1 B"]);
	t.like(await smi(t, "0, A, 60.5\\n1, B, [N/A]\\n"), {
		unavailable: "nvidia-smi tells no power of gpu-1 B",
	});
	t.like(await smi(t, "No devices were found\\n"), {
		unavailable: "nvidia-smi names no card",
	});
	t.deepEqual(await openNvidiaSmi({ PATH: "/nowhere" }), {
		unavailable: "no nvidia-smi",
	});
});
