import test from "ava";
import { createLog, logLevel } from "./log.ts";

function recorder() {
	const lines: string[] = [];
	return { lines, write: (line: string) => void lines.push(line) };
}

test("the level comes from WATTVOX_LOG, and nonsense falls back", (t) => {
	t.is(logLevel({}), "warn");
	t.is(logLevel({ WATTVOX_LOG: "DEBUG" }), "debug");
	t.is(logLevel({ WATTVOX_LOG: "loud" }, "info"), "info");
});

test("a line is one JSON object with level, name and fields", (t) => {
	const to = recorder();
	createLog("agent", { level: "info", to }).info({ voice: "amy" }, "speaks");
	const line = JSON.parse(to.lines[0] ?? "");
	t.like(line, { level: "info", name: "agent", voice: "amy", msg: "speaks" });
});

test("below the level nothing is written", (t) => {
	const to = recorder();
	createLog("agent", { level: "warn", to }).info("quiet");
	t.deepEqual(to.lines, []);
});

const SECRET = "hunter2hunter2";

test("no secret reaches the line, however it is passed", (t) => {
	const to = recorder();
	const log = createLog("store", { level: "trace", to });
	const url = `mqtts://user:${SECRET}@broker:8883/x`;
	const failed = new Error(`cannot reach ${url}`, {
		cause: new Error(`Bearer ${SECRET}`),
	});
	log.info({ deep: { list: [{ password: SECRET, apiKey: SECRET }] } }, "a");
	log.info({ url }, "b");
	log.info(`connecting to ${url}`);
	log.info("connecting to %s with %o", url, { token: SECRET });
	log.error(failed);
	log.error({ err: failed });
	log.error({ err: failed }, "failed");
	log.child({ privateKey: SECRET, url }).warn("child");
	log.child({ a: 1 }).child({ privateKey: SECRET }).warn("grandchild");
	const bound = log.child({});
	bound.setBindings({ privateKey: SECRET });
	bound.warn("bound");
	log.info(
		{
			pem: `-----BEGIN PRIVATE KEY-----\n${SECRET}\n-----END PRIVATE KEY-----`,
		},
		"c",
	);
	log.info({ note: `https://s3/x?X-Amz-Signature=${SECRET}&a=1` }, "d");
	t.is(to.lines.length, 12);
	for (const line of to.lines) {
		t.notThrows(() => JSON.parse(line), line);
		t.false(line.includes(SECRET), line);
	}
});

test("an error keeps its code, message and stack", (t) => {
	const to = recorder();
	const error = Object.assign(new Error("gone"), { code: "E_BROKER" });
	createLog("x", { level: "info", to }).error({ err: error }, "lost");
	const { err } = JSON.parse(to.lines[0] ?? "");
	t.like(err, { type: "Error", message: "gone", code: "E_BROKER" });
	t.regex(err.stack, /log\.test/);
});
