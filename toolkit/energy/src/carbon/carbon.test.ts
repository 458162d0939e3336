import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { type Clock, ManualClock } from "@wattvox/core";
import test, { type ExecutionContext } from "ava";
import { parseSeries, tablePoints } from "./csv.ts";
import { openCarbonSource, openTariff } from "./open.ts";
import { valueAt } from "./source.ts";

const AT = Date.UTC(2026, 2, 4, 10, 0);
const HOUR = 3_600_000;
const iso = (hours: number) => new Date(AT + hours * HOUR).toISOString();
const date = (hours: number) => new Date(AT + hours * HOUR);

test("a fixed intensity is what it says at any time", async (t) => {
	const source = openCarbonSource("fixed:233.5");
	t.is(source.name, "fixed:233.5");
	t.is(await source.intensity(new Date()), 233.5);
	const { points } = await source.forecast(date(0), date(5));
	t.deepEqual(points, [{ from: AT, to: AT + 5 * HOUR, value: 233.5 }]);
});

test("unknown stays unknown", async (t) => {
	const source = openCarbonSource("unknown");
	t.is(await source.intensity(new Date()), null);
	t.deepEqual((await source.forecast(date(0), date(5))).points, []);
});

test("anything else is a usage error", (t) => {
	for (const name of [
		"",
		"fixed:",
		"fixed:-3",
		"fixed:0x10",
		"csv:",
		"green",
		"uk:x",
		"watttime",
	])
		t.throws(() => openCarbonSource(name), { message: /none of/ }, name);
	t.throws(() => openTariff("fixed:3"), { message: /csv:FILE/ });
});

test("a table by moments: rows hold until the next, holes and empty cells are unknown", (t) => {
	const table = parseSeries(
		"\ufeffDatetime (UTC),Country,Carbon intensity gCO2eq/kWh\n" +
			"2026-03-04 10:00:00,DE,300\n2026-03-04T11:00:00Z,DE,\n2026-03-04T12:00:00+00:00,DE,100\n2026-03-04 20:00,DE,50\n",
		"t.csv",
	);
	const points = tablePoints(table, AT - HOUR, AT + 30 * HOUR);
	t.deepEqual(
		points.map((p) => [(p.from - AT) / HOUR, (p.to - AT) / HOUR, p.value]),
		[
			[0, 1, 300],
			[1, 2, null],
			[2, 4, 100],
			[10, 11, 50],
		],
	);
	for (const bad of [
		"a\n1",
		"time,value\nsoon,3",
		"time,value\n2026-01-01,x",
		"time,value\n",
	])
		t.throws(
			() => parseSeries(bad, "bad.csv"),
			{ message: /bad\.csv:\d/ },
			bad,
		);
});

test("a tariff by times of day repeats, in local time", (t) => {
	const table = parseSeries(
		"from,price\n00:00,0.10\n07:00,0.30\n22:00,0.10\n",
		"t.csv",
	);
	const noon = new Date(2026, 2, 4, 12).getTime();
	const points = tablePoints(table, noon, noon + 24 * HOUR);
	t.deepEqual(
		points.map((p) => [(p.from - noon) / HOUR, p.value]),
		[
			[0, 0.3],
			[10, 0.1],
			[12, 0.1],
			[19, 0.3],
		],
	);
});

test("a file that is not there says so", async (t) => {
	const source = openCarbonSource("csv:/nowhere/x.csv");
	await t.throwsAsync(source.forecast(date(0), date(1)), {
		message: /cannot read \/nowhere/,
	});
	const dir = await mkdtemp(join(tmpdir(), "wattvox-carbon-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	await writeFile(
		join(dir, "p.csv"),
		`time,price\n${iso(0)},0.25\n${iso(1)},0.5\n`,
	);
	const tariff = openTariff(`csv:${join(dir, "p.csv")}`);
	t.like(await tariff.forecast(date(0), date(2)), { kind: "price" });
	t.is(await tariff.intensity(date(1.5)), 0.5);
});

type Answer = {
	status?: number;
	headers?: Record<string, string>;
	body: unknown;
};

/** A service on loopback; `answer` sees each request. */
async function service(
	t: ExecutionContext,
	answer: (request: IncomingMessage, n: number) => Answer,
) {
	const asked: string[] = [];
	const server = createServer((request, response) => {
		asked.push(request.url ?? "");
		const { status = 200, headers = {}, body } = answer(request, asked.length);
		response.writeHead(status, headers);
		response.end(typeof body === "string" ? body : JSON.stringify(body));
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	t.teardown(() => new Promise<void>((done) => server.close(() => done())));
	const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	return { url, asked };
}

/** A clock that stands at AT and whose waits are over at once; they are noted. */
function still(): Clock & { waits: number[] } {
	const clock = new ManualClock(AT);
	const waits: number[] = [];
	return {
		waits,
		wall: () => clock.wall(),
		monotonic: () => clock.monotonic(),
		sleep: async (ms) => void waits.push(ms),
	};
}

test("electricitymaps: latest, forecast and history as documented; nulls stay null", async (t) => {
	const { url, asked } = await service(t, (request) => {
		if (request.headers["auth-token"] !== "s3cret")
			return { status: 401, body: { error: "Invalid auth-token" } };
		if (request.url?.includes("/latest"))
			return {
				body: {
					zone: "DE",
					carbonIntensity: 466,
					datetime: iso(0),
					updatedAt: iso(0),
					emissionFactorType: "lifecycle",
					isEstimated: true,
				},
			};
		if (request.url?.includes("/forecast"))
			return {
				body: {
					zone: "DE",
					updatedAt: iso(-1),
					forecast: [
						{ datetime: iso(0), carbonIntensity: 300 },
						{ datetime: iso(1), carbonIntensity: 250 },
						{ datetime: iso(2), carbonIntensity: null },
					],
				},
			};
		return {
			body: {
				zone: "DE",
				data: [{ datetime: iso(-3), carbonIntensity: null }],
			},
		};
	});
	const env = {
		ELECTRICITYMAPS_TOKEN: "s3cret",
		WATTVOX_CARBON_URL: `${url}/`,
	};
	const source = openCarbonSource("electricitymaps:DE", {
		env,
		clock: still(),
	});
	t.is(await source.intensity(date(0)), 466);
	t.is(await source.intensity(date(-3)), null);
	const forecast = await source.forecast(date(0), date(12));
	t.like(forecast, { kind: "average", issuedAt: AT - HOUR });
	t.is(valueAt(forecast, AT + 1.5 * HOUR), 250);
	t.is(valueAt(forecast, AT + 2.5 * HOUR), null);
	t.regex(asked.at(-1) ?? "", /zone=DE&horizonHours=24/);
	const wrong = openCarbonSource("electricitymaps:DE", {
		env: { ...env, ELECTRICITYMAPS_TOKEN: "other-s3cret" },
		clock: still(),
	});
	const error = await t.throwsAsync(wrong.intensity(date(0)), {
		message: /answered 401: Invalid auth-token/,
	});
	// A key is nowhere in what is thrown, however deep one looks.
	t.notRegex(inspect(error, { depth: 9 }), /s3cret/);
	const none = openCarbonSource("electricitymaps:DE", { env: {} });
	await t.throwsAsync(async () => none.intensity(date(0)), {
		message: /needs ELECTRICITYMAPS_TOKEN/,
	});
});

test("watttime: logs in once, converts pounds, keeps marginal apart", async (t) => {
	const { url, asked } = await service(t, (request) => {
		const { authorization } = request.headers;
		if (request.url === "/login")
			return authorization ===
				`Basic ${Buffer.from("me:pw").toString("base64")}`
				? { body: { token: "jwt" } }
				: { status: 403, body: {} };
		if (authorization !== "Bearer jwt") return { status: 401, body: {} };
		return {
			body: {
				data: [
					{ point_time: iso(0), value: 1000 },
					{ point_time: iso(5 / 60), value: 500 },
				],
				meta: {
					region: "CAISO_NORTH",
					signal_type: "co2_moer",
					units: request.url?.includes("historical") ? "kg" : "lbs_co2_per_mwh",
					generated_at: iso(0),
					data_point_period_seconds: 300,
				},
			},
		};
	});
	const env = {
		WATTTIME_USER: "me",
		WATTTIME_PASSWORD: "pw",
		WATTVOX_CARBON_URL: url,
	};
	const source = openCarbonSource("watttime:CAISO_NORTH", {
		env,
		clock: still(),
	});
	const forecast = await source.forecast(date(0), date(24));
	t.like(forecast, { kind: "marginal", unit: "gCO2e/kWh", issuedAt: AT });
	t.is(Math.round(valueAt(forecast, AT) ?? 0), 454);
	t.is(Math.round((await source.intensity(date(0.1))) ?? 0), 227);
	t.is(asked.filter((p) => p === "/login").length, 1);
	await t.throwsAsync(source.history(date(-5), date(-4)), {
		message: /answered in kg/,
	});
	const none = openCarbonSource("watttime:X", { env: {} });
	await t.throwsAsync(none.forecast(date(0), date(1)), {
		message: /WATTTIME_USER/,
	});
});

test("uk: half-hours, forecast ahead, actual behind where it is known", async (t) => {
	const { url, asked } = await service(t, () => ({
		body: {
			data: [
				{
					from: "2026-03-04T10:00Z",
					to: "2026-03-04T10:30Z",
					intensity: { forecast: 120, actual: 140, index: "moderate" },
				},
				{
					from: "2026-03-04T10:30Z",
					to: "2026-03-04T11:00Z",
					intensity: { forecast: 90, actual: null, index: "low" },
				},
			],
		},
	}));
	const source = openCarbonSource("uk", {
		env: { WATTVOX_CARBON_URL: url },
		clock: still(),
	});
	const forecast = await source.forecast(date(0.3), date(48));
	t.deepEqual(asked, ["/intensity/2026-03-04T10:00Z/2026-03-06T10:00Z"]);
	t.is(valueAt(forecast, AT), 120);
	const history = await source.history(date(0), date(1));
	t.is(valueAt(history, AT), 140);
	t.is(valueAt(history, AT + HOUR / 2), 90);
	t.is(await source.intensity(date(0.6)), 90);
});

test("a service that is busy is asked again, when it says; one that stays down is an error", async (t) => {
	const clock = still();
	const { url, asked } = await service(t, (_, n) =>
		n === 1
			? { status: 429, headers: { "retry-after": "7" }, body: {} }
			: n === 2
				? { status: 503, body: "down" }
				: { body: { data: [] } },
	);
	const open = (name: string) =>
		openCarbonSource(name, { env: { WATTVOX_CARBON_URL: url }, clock });
	t.deepEqual((await open("uk").forecast(date(0), date(1))).points, []);
	t.is(asked.length, 3);
	t.true((clock.waits[0] ?? 0) >= 7000);
	const dead = openCarbonSource("uk", {
		env: { WATTVOX_CARBON_URL: "http://127.0.0.1:9" },
		clock,
	});
	await t.throwsAsync(dead.forecast(date(0), date(1)), {
		name: "WattvoxError",
		message: "uk: no answer",
	});
});

test("what is not the documented shape, or no JSON, is said; an abort passes on", async (t) => {
	const bodies: unknown[] = [{ data: [{ from: 3 }] }, "<html>", { data: [] }];
	const { url } = await service(t, () => ({ body: bodies[0] }));
	const source = openCarbonSource("uk", {
		env: { WATTVOX_CARBON_URL: url },
		clock: still(),
	});
	await t.throwsAsync(source.forecast(date(0), date(1)), {
		message: /otherwise than documented/,
	});
	bodies.shift();
	await t.throwsAsync(source.forecast(date(0), date(1)), {
		message: /no JSON/,
	});
	const over = AbortSignal.abort(new Error("over"));
	await t.throwsAsync(source.forecast(date(0), date(1), over), {
		message: "over",
	});
});
