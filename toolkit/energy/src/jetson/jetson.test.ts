import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import { openPowerSource } from "../open.ts";
import type { PowerReading, PowerSource } from "../source.ts";
import { POWER_SOURCE_CONTRACT, type Subject } from "../source-contract.ts";
import { fakeProgram, nextReading } from "../testing.ts";
import { boardWords, hottest, readBoard } from "./board.ts";
import { openIna3221 } from "./ina3221.ts";
import { openTegrastats } from "./tegrastats.ts";
import { parseTegrastats } from "./tegrastats-line.ts";

const FIXTURES = fileURLToPath(new URL("../../fixtures/", import.meta.url));
const fixture = (name: string) => join(FIXTURES, name);

async function copy(t: ExecutionContext, name: string): Promise<string> {
	const root = await mkdtemp(join(tmpdir(), "wattvox-jetson-"));
	t.teardown(() => rm(root, { recursive: true, force: true }));
	await cp(fixture(name), root, { recursive: true });
	return root;
}

function opened<T>(source: T | { unavailable: string }): T {
	if (typeof source === "object" && source && "unavailable" in source)
		throw new Error(source.unavailable);
	return source as T;
}

const watts = async (source: PowerSource): Promise<number> => {
	if (source.kind !== "gauge") throw new Error(source.kind);
	return (await source.read()).watts;
};

/** Watts of each tree by hand: mV * mA / 10^6 over the rails that count. */
const BOARDS: Record<string, { rails: string[]; watts: number }> = {
	"xavier-agx": {
		rails: ["GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"],
		watts: (19152 * (48 + 96 + 144 + 40) + 19104 * 120) / 1e6,
	},
	"xavier-nx": { rails: ["VDD_IN"], watts: (5008 * 848) / 1e6 },
	"orin-nano": { rails: ["VDD_IN"], watts: (4952 * 972) / 1e6 },
	"orin-nx": { rails: ["VDD_IN"], watts: (19320 * 380) / 1e6 },
	"orin-agx": {
		rails: ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "VDDQ_VDD2_1V8AO"],
		watts: (19888 * 180 + 4968 * (953 + 80)) / 1e6,
	},
	thor: { rails: ["VIN"], watts: 22.9905 },
	"thor-own-carrier": {
		rails: ["VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"],
		watts: (19600 * (332 - 20) + 4960 * 1314) / 1e6,
	},
};

for (const [name, board] of Object.entries(BOARDS))
	test(`${name}: the input rail or the sum, never both, never a shunt`, async (t) => {
		const source = opened(openIna3221(fixture(name)));
		t.deepEqual(source.describe().rails, board.rails);
		t.true(Math.abs((await watts(source)) - board.watts) < 1e-9);
	});

test("a Jetson is opened before anything else, and alone", async (t) => {
	const { source, skipped } = await openPowerSource({
		root: fixture("orin-nano"),
	});
	t.like(source.describe(), { sensor: "ina3221", measured: true });
	t.deepEqual(skipped, []);
});

test("hwmon is found under any number, and a rail that falls silent is an error", async (t) => {
	const root = await copy(t, "orin-nano");
	const chip = join(root, "sys/bus/i2c/drivers/ina3221/1-0040/hwmon");
	await cp(join(chip, "hwmon1"), join(chip, "hwmon42"), { recursive: true });
	await rm(join(chip, "hwmon1"), { recursive: true });
	const source = opened(openIna3221(root));
	t.true((await watts(source)) > 4);
	await writeFile(join(chip, "hwmon42", "curr1_input"), "");
	await t.throwsAsync(source.read(), {
		message: /curr1_input holds no number/,
	});
});

test("a board without a usable rail says why", async (t) => {
	const reason = (root: string) => {
		const source = openIna3221(root);
		return "unavailable" in source ? source.unavailable : "available";
	};
	t.regex(reason("/nowhere"), /no ina3221 driver/);
	const root = await copy(t, "orin-nano");
	const hwmon = join(root, "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1");
	await rm(join(hwmon, "in1_input"));
	t.regex(reason(root), /in1_input/);
	for (const n of [1, 2, 3])
		await writeFile(join(hwmon, `in${n}_label`), "NC\n");
	t.regex(reason(root), /no rail/);
});

async function lines(): Promise<Map<string, string>> {
	const text = await readFile(fixture("tegrastats.txt"), "utf8");
	return new Map(
		text
			.split("\n")
			.filter((line) => line && !line.startsWith("#"))
			.map((line) => line.split("\t") as [string, string]),
	);
}

test("tegrastats lines of every release: rails now, loads, temperatures, nothing else", async (t) => {
	const found = Object.fromEntries(
		[...(await lines())].map(([board, line]) => {
			const { rails, temperatures, gpuLoad } = parseTegrastats(line);
			return [
				board,
				{
					rails: Object.fromEntries(rails),
					zones: temperatures.size,
					gpuLoad,
				},
			];
		}),
	);
	t.deepEqual(found, {
		"nano-jetpack-4": {
			rails: { POM_5V_IN: 933, POM_5V_GPU: 0, POM_5V_CPU: 84 },
			zones: 6,
			gpuLoad: 0,
		},
		"xavier-jetpack-5": {
			rails: { GPU: 919, CPU: 1839, SOC: 2758, CV: 0, VDDRQ: 766, SYS5V: 2292 },
			zones: 8,
			gpuLoad: 0,
		},
		"orin-nano-jetpack-6": {
			rails: { VDD_IN: 12479, VDD_CPU_GPU_CV: 4667, VDD_SOC: 2817 },
			zones: 6,
			gpuLoad: 0.63,
		},
		"orin-agx-jetpack-5": {
			rails: {
				VDD_GPU_SOC: 3150,
				VDD_CPU_CV: 14312,
				VIN_SYS_5V0: 4968,
				NC: 0,
				VDDQ_VDD2_1V8AO: 1091,
			},
			zones: 6,
			gpuLoad: 0.14,
		},
		"thor-jetpack-7": {
			rails: {
				VDD_GPU: -392,
				VDD_CPU_SOC_MSS: 6507,
				VIN_SYS_5V0: 6517,
				VIN: 22990,
			},
			zones: 3,
			gpuLoad: null,
		},
	});
	// What no release ever printed is skipped, not fatal.
	t.is(parseTegrastats("%$ X 1/2/3/4 @@ [").rails.size, 0);
});

async function tegrastats(t: ExecutionContext, body: string) {
	const dir = await fakeProgram(t, "tegrastats", body);
	const source = opened(await openTegrastats({ PATH: dir }));
	t.teardown(() => source.close());
	return source;
}

const loop = (line = "") => `while :; do echo '${line}'; sleep 0.02; done`;

for (const clause of POWER_SOURCE_CONTRACT)
	test(`tegrastats: ${clause.name}`, async (t) => {
		const line = (await lines()).get("orin-agx-jetpack-5");
		const source = await tegrastats(t, loop(line));
		const subject: Subject = { source, spend: () => nextReading(source) };
		await t.notThrowsAsync(() => clause.check(subject));
	});

for (const name of ["orin-nano", "orin-agx", "thor"])
	for (const clause of POWER_SOURCE_CONTRACT)
		test(`ina3221 of ${name}: ${clause.name}`, async (t) => {
			const source = opened(openIna3221(fixture(name)));
			const subject: Subject = { source, spend: async () => undefined };
			await t.notThrowsAsync(() => clause.check(subject));
		});

test("tegrastats: the sum of a board without an input rail, one rail else", async (t) => {
	const all = await lines();
	const agx = await tegrastats(t, loop(all.get("orin-agx-jetpack-5")));
	t.deepEqual(agx.describe().rails, [
		"VDD_GPU_SOC",
		"VDD_CPU_CV",
		"VIN_SYS_5V0",
		"VDDQ_VDD2_1V8AO",
	]);
	t.is(await watts(agx), 3.15 + 14.312 + 4.968 + 1.091);
	const thor = await tegrastats(t, loop(all.get("thor-jetpack-7")));
	t.is(await watts(thor), 22.99);
});

test("tegrastats that ends or loses its rail is an error, not 0 W", async (t) => {
	const line = (await lines()).get("orin-nano-jetpack-6") ?? "";
	// The first start is the look at the rails; the second prints something else and ends.
	const dir = await fakeProgram(
		t,
		"tegrastats",
		`if [ -e "$0.seen" ]; then echo 'RAM 1/2MB'; exit 3; fi; : > "$0.seen"; ${loop(line)}`,
	);
	const source = opened(await openTegrastats({ PATH: dir }));
	t.teardown(() => source.close());
	await t.throwsAsync(source.read() as Promise<PowerReading>, {
		name: "WattvoxError",
		message: /tegrastats: (a line is without VDD_IN|it ended with 3)/,
	});
});

test("no tegrastats, and one that says nothing of power, are passed over", async (t) => {
	const none = await openTegrastats({ PATH: "/nowhere" });
	t.like(none, { unavailable: "no tegrastats: not a Jetson" });
	const dir = await fakeProgram(t, "tegrastats", "echo 'RAM 1/2MB'");
	const mute = await openTegrastats({ PATH: dir });
	t.regex("unavailable" in mute ? mute.unavailable : "", /names no rail/);
});

test("a board tells its module, release, power mode, temperatures and load", (t) => {
	const nano = readBoard(fixture("orin-nano"));
	t.deepEqual(nano, {
		model: "NVIDIA Jetson Orin Nano Developer Kit",
		l4t: "36.4.3",
		tensorrt: null,
		powerMode: "MAXN_SUPER",
		temperatures: { cpu: 53.968, gpu: 53.343, tj: 53.968 },
		gpuLoad: 0.63,
	});
	t.is(hottest(nano), 53.968);
	t.deepEqual(readBoard("/nowhere"), {
		model: null,
		l4t: null,
		tensorrt: null,
		powerMode: null,
		temperatures: {},
		gpuLoad: null,
	});
	t.is(hottest(readBoard("/nowhere")), null);
	t.deepEqual(boardWords(nano), [
		"NVIDIA Jetson Orin Nano Developer Kit",
		"Linux for Tegra 36.4.3",
		...["power mode MAXN_SUPER", "hottest zone 54 °C", "GPU load 63 %"],
	]);
	t.deepEqual(boardWords(readBoard("/nowhere")), []);
});

test("a board's facts are found where each release keeps them, and what is unknown is null", async (t) => {
	for (const place of [
		"gpu.0",
		"platform/gpu.0",
		"platform/bus@0/17000000.gpu",
	]) {
		const root = await copy(t, "thor");
		const write = async (path: string, text: string) => {
			await mkdir(dirname(join(root, path)), { recursive: true });
			await writeFile(join(root, path), text);
		};
		await write(`sys/devices/${place}/load`, "250\n");
		t.is(readBoard(root).gpuLoad, 0.25, place);
		await write(`sys/devices/${place}/load`, "busy\n");
		t.is(readBoard(root).gpuLoad, null, "no number is no load of 0");
		for (const [text, l4t] of [
			["# R35 (release), REVISION: 4.1, GCID: 1, BOARD: t186ref", "35.4.1"],
			["# R38 (release), REVISION: 2.0, GCID: 1, BOARD: generic", "38.2.0"],
			["# a release of another kind", null],
		] as const) {
			await write("etc/nv_tegra_release", text);
			t.is(readBoard(root).l4t, l4t);
		}
		await write("var/lib/nvpmodel/status", "pmode:0007");
		t.is(readBoard(root).powerMode, "mode 7", "one without a name");
		await write("var/lib/nvpmodel/status", "another format");
		t.is(readBoard(root).powerMode, null);
		const zone = "sys/devices/virtual/thermal/thermal_zone9";
		await write(`${zone}/type`, "cv-thermal");
		await write(`${zone}/temp`, "-256000");
		t.is(readBoard(root).temperatures.cv, undefined, "switched off");
		await write(`${zone}/temp`, "41500");
		t.is(readBoard(root).temperatures.cv, 41.5);
	}
});

test("TensorRT's version is told by its library, the newest of several", async (t) => {
	const root = await copy(t, "orin-nano");
	const dir = join(root, "usr/lib/aarch64-linux-gnu");
	await mkdir(dir, { recursive: true });
	const file = (name: string) => writeFile(join(dir, `libnvinfer${name}`), "");
	for (const name of [".so", ".so.10", "_plugin.so.11.0.0", ".so.10.3.0-old"])
		await file(name);
	t.is(readBoard(root).tensorrt, null);
	await file(".so.8.5.2");
	t.is(readBoard(root).tensorrt, "8.5.2");
	await file(".so.10.3.0");
	t.is(readBoard(root).tensorrt, "10.3.0");
	t.true(boardWords(readBoard(root)).includes("TensorRT 10.3.0"));
});
