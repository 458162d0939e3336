import { once } from "node:events";
import test from "ava";
import { WebSocket } from "ws";
import { Broker } from "./broker.ts";
import { connect } from "./testing.ts";

/** What a WebSocket that tries to connect gets: "open", or the status of the refusal. */
async function tried(
	url: string,
	protocols: string[],
	origin?: string,
): Promise<string> {
	const socket = new WebSocket(url, protocols, origin ? { origin } : {});
	socket.on("error", () => undefined);
	try {
		return await Promise.race([
			once(socket, "open").then(() => "open"),
			once(socket, "unexpected-response").then(([, r]) => String(r.statusCode)),
		]);
	} finally {
		socket.terminate();
	}
}

test("only MQTT is spoken, and only to pages that are named", async (t) => {
	const page = "https://fleet.example";
	const broker = await Broker.start({
		port: 0,
		web: { port: 0, origins: [page] },
	});
	t.teardown(() => broker.stop());
	const url = broker.webUrl ?? "";
	t.regex(url, /^ws:/);
	t.is(await tried(url, ["mqtt"]), "open");
	t.is(await tried(url, ["chat", "mqtt"]), "open");
	t.is(await tried(url, ["mqtt"], page), "open");
	t.is(await tried(url, ["mqtt"], "https://elsewhere.example"), "403");
	t.is(await tried(url, ["chat"]), "400");
	t.is((await fetch(url.replace(/^ws/, "http"))).status, 426);
});

test("both doors lead to one broker, and stopping it closes both", async (t) => {
	const broker = await Broker.start({ port: 0, web: { port: 0 } });
	t.teardown(() => broker.stop());
	const url = broker.webUrl ?? "";
	const byWeb = await connect(url, "web");
	t.teardown(() => byWeb.stop());
	const byTcp = await connect(broker.url, "tcp");
	t.teardown(() => byTcp.stop());
	const heard = new Promise<number>((resolve, reject) => {
		byWeb
			.subscribe("a/b", (_, payload) => resolve(payload.byteLength))
			// longer than a frame's short lengths, shorter than the limit of a message
			.then(() => byTcp.publish("a/b", Buffer.alloc(100_000)))
			.catch(reject);
	});
	t.is(await heard, 100_000);
	t.is(broker.clients, 2);
	const lost = new Promise<void>((resolve) => byWeb.onLost(resolve));
	await broker.stop();
	await lost;
	t.is(broker.webUrl, undefined);
	await t.throwsAsync(connect(url, "late", { connectTimeoutMs: 300 }), {
		code: "E_BROKER",
	});
});

test("a port for WebSockets that is taken ends with E_BROKER and leaves nothing open", async (t) => {
	const first = await Broker.start({ port: 0 });
	t.teardown(() => first.stop());
	await t.throwsAsync(Broker.start({ port: 0, web: { port: first.port } }), {
		code: "E_BROKER",
	});
});
