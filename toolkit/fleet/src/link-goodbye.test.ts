import { createServer } from "node:net";
import { decode, Link, zPresence } from "@wattvox/link";
import { Aedes } from "aedes";
import test from "ava";

test("a link that is stopped while it connects does not say that it is there after its goodbye", async (t) => {
	t.timeout(120_000);
	let grant: () => void = () => undefined;
	let asked: () => void = () => undefined;
	const asking = new Promise<void>((resolve) => {
		asked = resolve;
	});
	const said: (boolean | undefined)[] = [];
	const aedes = await Aedes.createBroker({
		authorizeSubscribe(_, subscription, done) {
			grant = () => done(null, subscription);
			asked();
		},
		authorizePublish(client, packet, done) {
			if (!client) return done(null);
			said.push(decode(zPresence, packet.payload as Buffer)?.online);
			// the grant is on its way before the goodbye is acknowledged
			grant();
			setTimeout(() => done(null), 200);
		},
	});
	const server = createServer((socket) => {
		socket.on("error", () => undefined);
		aedes.handle(socket);
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	t.teardown(async () => {
		server.close();
		await new Promise<void>((resolve) => aedes.close(() => resolve()));
	});
	const { port } = server.address() as { port: number };
	const link = new Link({
		...{ url: `mqtt://127.0.0.1:${port}`, clientId: "d" },
		presence: { fleet: "f", device: "d" },
		connectTimeoutMs: 60_000,
	});
	await link.subscribe("a/b", () => undefined);
	const started = link.start().catch(() => undefined);
	await asking;
	await link.stop();
	await started;
	t.deepEqual(said, [false]);
});
