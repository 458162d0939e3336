import { once } from "node:events";
import { readFile, stat } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { temporaryDir } from "@wattvox/bundle/testing";
import test, { type ExecutionContext } from "ava";
import {
	checkPassword,
	hashPassword,
	LoginLimit,
	passwordFile,
	Sessions,
} from "./auth.ts";
import { DailyReporter } from "./daily-report.ts";
import { FleetServer, type FleetServerOptions } from "./server.ts";
import { type TestFleet, testFleet } from "./testing-fleet.ts";

let fleet: TestFleet;
const password = hashPassword("sesame", { N: 16, r: 1, p: 1 });
test.before(async () => {
	fleet = await testFleet(undefined, 6, 2);
});
test.after.always(() => fleet?.stop());

async function serve(
	t: ExecutionContext,
	options: Partial<FleetServerOptions> = {},
) {
	const server = new FleetServer({
		...fleet,
		...{ password: await password, port: 0, token: "t".repeat(32) },
		...options,
	});
	await server.start();
	t.teardown(() => server.stop());
	const get = (path: string, headers: Record<string, string> = {}) =>
		fetch(server.url + path, {
			headers: { authorization: `Bearer ${"t".repeat(32)}`, ...headers },
			redirect: "manual",
		});
	const login = (word: string, headers: Record<string, string> = {}) =>
		fetch(`${server.url}/login`, {
			method: "POST",
			body: new URLSearchParams({ password: word }),
			redirect: "manual",
			headers,
		});
	return { server, get, login };
}

test("nothing is served without a session or the token", async (t) => {
	const { server, get, login } = await serve(t);
	for (const path of [
		...["/api/overview", "/api/devices", "/api/power", "/api/power.csv"],
		"/api/utterances",
		...["/api/rollouts", "/api/live", "/metrics", "/app.js"],
	]) {
		t.is((await fetch(server.url + path)).status, 401, path);
		t.is((await get(path, { authorization: "Bearer wrong" })).status, 401);
	}
	const front = await fetch(server.url, { redirect: "manual" });
	t.is(front.headers.get("location"), "/login");
	const entered = await login("sesame");
	const cookie = entered.headers.get("set-cookie") ?? "";
	t.regex(cookie, /HttpOnly; SameSite=Strict/);
	const inside = await fetch(server.url, {
		headers: { cookie: cookie.split(";", 1)[0] ?? "" },
	});
	t.is(inside.status, 200);
	t.regex(
		inside.headers.get("content-security-policy") ?? "",
		/default-src 'self'/,
	);
});

test("who guesses has to wait, whoever asks from elsewhere is refused", async (t) => {
	const { server, login } = await serve(t);
	for (let i = 0; i < 5; i++)
		t.is((await login("guess")).headers.get("location"), "/login?wrong=1");
	const held = await login("sesame");
	t.regex(held.headers.get("location") ?? "", /wait=\d+/);
	t.true(Number(held.headers.get("retry-after")) > 0);
	t.is((await login("x", { "sec-fetch-site": "cross-site" })).status, 403);
	// a name of elsewhere that was made to point here
	const { request } = await import("node:http");
	const rebound = request(server.url, { headers: { host: "evil.example" } });
	rebound.end();
	const [response] = await once(rebound, "response");
	t.is(response.statusCode, 421);
	response.resume();
});

test("data as JSON and CSV, and its mistakes", async (t) => {
	const { get } = await serve(t);
	const json = async (path: string) =>
		JSON.parse(await (await get(path)).text());
	const table = await json("/api/power?by=voice&since=2d");
	t.is(table.rows.length, 3);
	const csv = await get("/api/power.csv?by=class");
	t.regex(csv.headers.get("content-type") ?? "", /text\/csv/);
	t.regex(await csv.text(), /^name,.*\r\nagx-orin,/);
	for (const path of [
		"/api/utterances?limit=0",
		"/api/power?by=moon",
		"/api/power?since=soon",
		"/api/power?fleet=a/b",
	]) {
		const wrong = await get(path);
		t.is(wrong.status, 400, path);
		t.regex(await wrong.text(), /"error":"/);
	}
	const overview = await json("/api/overview?since=24h");
	t.true(overview.now.devices >= 6);
	t.true(overview.byTime.rows.length >= 24);
});

test("Prometheus reads what is known, and NaN where nothing is", async (t) => {
	const { get } = await serve(t);
	const text = await (await get("/metrics")).text();
	t.regex(text, /wattvox_power_devices\{kind="measured"\} 5/);
	t.regex(text, /wattvox_energy_joules_total\{kind="measured"\} \d{4,}/);
	t.regex(text, /wattvox_devices\{state="wrong"\} 1/);
	t.regex(text, /process_resident_memory_bytes/);
	const { LiveFleet } = await import("../live/live-fleet.ts");
	const link = { subscribe: async () => async () => undefined };
	const empty = await serve(t, { live: new LiveFleet({ link }) });
	const unknown = await (await empty.get("/metrics")).text();
	t.regex(unknown, /wattvox_power_watts\{kind="measured"\} NaN/i);
});

test("live: the summary comes at once and when it changes", async (t) => {
	const { get } = await serve(t, { liveMs: 10 });
	const response = await get("/api/live");
	const reader = response.body?.getReader();
	const decoder = new TextDecoder();
	let text = "";
	const until = async (found: RegExp) => {
		while (!found.test(text))
			text += decoder.decode((await reader?.read())?.value);
	};
	await until(/event: summary\ndata: .*"devices":6/);
	fleet.say("new-one", "presence", { v: 1, online: true, session: 1 });
	await until(/"devices":7/);
	await reader?.cancel();
	t.pass();
});

test("off loopback only behind a proxy; a port that is taken is E_BUSY", async (t) => {
	const open = new FleetServer({
		...fleet,
		...{ password: await password, host: "0.0.0.0", port: 0 },
	});
	await t.throwsAsync(open.start(), { code: "E_USAGE" });
	const { server, login } = await serve(t, { behindProxy: true });
	t.regex((await login("sesame")).headers.get("set-cookie") ?? "", /; Secure$/);
	const port = Number(new URL(server.url).port);
	const second = new FleetServer({ ...fleet, password: await password, port });
	await t.throwsAsync(second.start(), { code: "E_BUSY" });
	await server.stop();
	await server.stop();
});

test("a password is kept as a hash, sessions end, guesses are forgotten after a minute", async (t) => {
	const path = join(await temporaryDir(t), "dashboard.json");
	const { fresh = "", hash } = await passwordFile(path);
	t.false((await readFile(path, "utf8")).includes(fresh));
	t.is((await stat(path)).mode & 0o777, 0o600);
	t.true(await checkPassword(fresh, hash));
	t.deepEqual(await passwordFile(path), { hash });
	t.false(await checkPassword("sesame ", await password));
	let now = 0;
	const sessions = new Sessions(1000, () => now);
	const token = sessions.open();
	t.true(sessions.valid(token));
	t.false(sessions.valid("other"));
	now = 1001;
	t.false(sessions.valid(token));
	const limit = new LoginLimit(2, 3, () => now);
	for (const from of ["a", "a", "b"]) limit.tried(from);
	t.is(limit.wait("a"), 60);
	t.is(limit.wait("c"), 60, "all together");
	now += 60_000;
	t.is(limit.wait("a"), 0);
});

test("the daily report: yesterday as a file and for the webhook", async (t) => {
	const dir = await temporaryDir(t);
	const heard: string[] = [];
	let refuse = 1;
	const hook = createServer(async (request, response) => {
		let body = "";
		for await (const chunk of request) body += chunk;
		if (refuse-- > 0) response.statusCode = 503;
		else heard.push(body);
		response.end();
	}).listen(0, "127.0.0.1");
	await once(hook, "listening");
	t.teardown(() => void hook.close());
	const { port } = hook.address() as AddressInfo;
	const reporter = new DailyReporter({
		...{ ...fleet, dir, webhook: `http://127.0.0.1:${port}/hook?token=s3cret` },
	});
	const path = await reporter.write();
	t.regex(path, /2026-05-19\.html$/);
	const html = await readFile(path, "utf8");
	t.regex(html, /Wh measured, 5 of 6 measured/);
	t.notRegex(html, /<script|https?:/);
	t.is(JSON.parse(heard[0] ?? "").day, "2026-05-19");
	hook.close();
	hook.closeAllConnections();
	const error = await t.throwsAsync(reporter.write(), { code: "E_TIMEOUT" });
	t.notRegex(String(error?.message), /s3cret/);
	reporter.start();
	reporter.start();
	await reporter.stop();
	await reporter.stop();
	t.throws(
		() => new DailyReporter({ ...fleet, dir, cron: "at noon" }).start(),
		{ code: "E_USAGE" },
	);
	t.throws(
		() => new DailyReporter({ ...fleet, dir, webhook: "file:///x" }).start(),
		{ code: "E_USAGE" },
	);
});
