import { decode, Link, zPresence } from "@wattvox/link";
import { Aedes } from "aedes";
import test from "ava";
import { listening } from "./testing-aedes.ts";

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
	const port = await listening(t, aedes);
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
