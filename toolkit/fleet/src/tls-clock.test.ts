import { once } from "node:events";
import type { AddressInfo, Socket } from "node:net";
import { join } from "node:path";
import { createServer, type TlsOptions } from "node:tls";
import { temporaryDir } from "@wattvox/bundle/testing";
import { systemClock } from "@wattvox/core";
import { Link } from "@wattvox/link";
import {
	AUTHORITY,
	type Issued,
	type IssueOptions,
	issue,
	SERVER,
} from "@wattvox/link/testing";
import test, { type ExecutionContext } from "ava";
import { Broker } from "./broker.ts";
import { brokerRules } from "./broker-acl.ts";

// The certificates are of the 2040s. To them a machine of today has a clock that is decades behind, as
// a board without a battery that starts in 1970 has to a certificate of today; OpenSSL takes the
// machine's clock, which no test can move.
const FLOOR = Date.UTC(2042, 5, 1);
const DECADE: [number, number] = [2040, 2050];

type Other = Partial<Omit<IssueOptions, "dir" | "by">>;

async function pki(t: ExecutionContext) {
	const root = await temporaryDir(t);
	let count = 0;
	const make = (by: Issued | undefined, o: Other = {}) =>
		issue({
			...{ dir: join(root, `c${count++}`), years: DECADE },
			...{ extensions: by ? SERVER : AUTHORITY, ...(by && { by }) },
			...o,
		});
	const authority = await make(undefined);
	return { make, authority };
}

interface Dial {
	ca: string;
	scheme?: string;
	floor?: number;
	port: number;
}

function dial(
	t: ExecutionContext,
	{ ca, scheme = "mqtts", port, floor }: Dial,
) {
	const link = new Link({
		connectTimeoutMs: 60_000,
		...{ url: `${scheme}://127.0.0.1:${port}`, clientId: "kitchen" },
		...{ username: "kitchen", password: "sesame", tls: { ca } },
		presence: { fleet: "home", device: "kitchen" },
		...(floor !== undefined && { timeFloor: () => floor }),
		reconnectMs: { base: 20, max: 50 },
	});
	t.teardown(() => link.stop());
	return link;
}

/** A server that speaks TLS and writes down what is said to it. */
async function listener(t: ExecutionContext, shown: TlsOptions) {
	const sockets = new Set<Socket>();
	const counted = { dialled: 0, heard: 0 };
	// as an impostor would: it shows what OpenSSL advises against
	const options = { ...shown, ciphers: "DEFAULT@SECLEVEL=0" };
	const server = createServer(options, (socket) => {
		socket.on("error", () => undefined);
		socket.on("data", (bytes) => {
			counted.heard += bytes.length;
		});
	});
	server.on("connection", (socket: Socket) => {
		counted.dialled++;
		sockets.add(socket);
	});
	server.on("tlsClientError", () => undefined);
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	t.teardown(() => {
		for (const socket of sockets) socket.destroy();
		server.close();
	});
	const { port } = server.address() as AddressInfo;
	return { port, counted };
}

/** Dials a server that shows a certificate, and expects to part without a word. */
async function refused(
	t: ExecutionContext,
	ca: string,
	{ cert, key }: TlsOptions,
	why: RegExp,
	floor: number | undefined = FLOOR,
) {
	t.timeout(120_000);
	// in 1.2 the server has ended the handshake before the client has, and hears what follows at once
	for (const [scheme, maxVersion] of [
		["mqtts", "TLSv1.2"],
		["mqtts", "TLSv1.3"],
		["wss", "TLSv1.2"],
	] as const) {
		const { port, counted } = await listener(t, { cert, key, maxVersion });
		const link = dial(t, { ca, port, scheme, floor });
		const started = t.throwsAsync(link.start(), { code: "E_BROKER" });
		// it comes back again and again, and says nothing any time
		while (!counted.heard && (counted.dialled < 3 || !link.lastError))
			await systemClock.sleep(5);
		t.regex(String(link.lastError?.message), why, scheme);
		await link.stop();
		await started;
		t.is(
			counted.heard,
			0,
			`${scheme} ${maxVersion}: bytes said to an impostor`,
		);
		t.is(link.counters.connects, 0);
	}
}

for (const scheme of ["mqtts", "wss"])
	test(`${scheme}: decades behind, the right broker: connected, and again after it went`, async (t) => {
		t.timeout(120_000);
		const { make, authority } = await pki(t);
		const { cert, key } = await make(authority);
		const start = (port = 0) =>
			Broker.start({
				...{ port: scheme === "wss" ? 0 : port, tls: { cert, key } },
				...(scheme === "wss" && { web: { port } }),
				access: brokerRules("home", { kitchen: "sesame" }),
			});
		let broker = await start();
		t.teardown(() => broker.stop());
		const url = scheme === "wss" ? (broker.webUrl ?? "") : broker.url;
		const port = Number(new URL(url).port);
		const link = dial(t, { ca: authority.cert, scheme, port, floor: FLOOR });
		await link.start();
		const lost = new Promise<void>((resolve) => link.onLost(resolve));
		await broker.stop();
		await lost;
		broker = await start(port);
		await link.whenReady();
		t.is(link.counters.connects, 2);
	});

test("authorities between, and a server's own certificate that is trusted itself", async (t) => {
	t.timeout(120_000);
	const { make, authority } = await pki(t);
	const between = await make(authority, { extensions: AUTHORITY });
	const below = await make(between);
	const own = await make(undefined, { extensions: SERVER });
	for (const [ca, cert, key] of [
		[authority.cert, below.cert + between.cert, below.key],
		[between.cert, below.cert, below.key],
		[own.cert, own.cert, own.key],
		[own.cert + authority.cert, below.cert + between.cert, below.key],
	] as const) {
		const broker = await Broker.start({ port: 0, tls: { cert, key } });
		t.teardown(() => broker.stop());
		const port = Number(new URL(broker.url).port);
		const link = dial(t, { ca, port, floor: FLOOR });
		await link.start();
		t.is(link.lastError, undefined);
	}
});

const REFUSED: Record<string, [Other, RegExp]> = {
	"of another address": [
		{ extensions: ["subjectAltName=IP:127.0.0.2,DNS:localhost"] },
		/does not match|not in the cert/,
	],
	"that ended before the floor": [{ years: [2040, 2042] }, /ended on Jan/],
	"for clients": [
		{ extensions: [...SERVER, "extendedKeyUsage=clientAuth"] },
		/not for servers/,
	],
	"signed with SHA-1": [{ digest: "sha1" }, /too weak/],
	"with a short key": [{ rsaBits: 1024 }, /too short|key too small/],
	"that demands what nobody knows": [
		{ extensions: [...SERVER, "1.2.3.4=critical,ASN1:NULL"] },
		/demands 1\.2\.3\.4/,
	],
};
for (const [what, [other, why]] of Object.entries(REFUSED))
	test(`decades behind, a certificate ${what}: refused without a word`, async (t) => {
		const { make, authority } = await pki(t);
		await refused(t, authority.cert, await make(authority, other), why);
	});

test("decades behind, of another authority, of the same name too: refused without a word", async (t) => {
	const { make, authority } = await pki(t);
	const name = "authority";
	const [ours, theirs] = [
		await make(undefined, { name }),
		await make(undefined, { name }),
	];
	const own = await make(undefined, { extensions: SERVER });
	const none = /no authority that is trusted/;
	await refused(t, ours.cert, await make(theirs), none);
	await refused(t, authority.cert, own, /too weak|no authority/);
});

test("decades behind, authorities that may not: refused without a word", async (t) => {
	const { make, authority } = await pki(t);
	const chain = async (above: Issued, extensions: readonly string[]) => {
		const between = await make(above, { extensions });
		const { cert, key } = await make(between);
		return { cert: cert + between.cert, key };
	};
	const ca = authority.cert;
	// whoever has a server's certificate makes others with its key
	await refused(t, ca, await chain(authority, SERVER), /is no authority/);
	const last = await make(undefined, {
		extensions: [
			"basicConstraints=critical,CA:TRUE,pathlen:0",
			...AUTHORITY.slice(1),
		],
	});
	await refused(t, last.cert, await chain(last, AUTHORITY), /others below it/);
	const named = "nameConstraints=permitted;IP:10.0.0.0/255.0.0.0";
	const held = await chain(authority, [...AUTHORITY, named]);
	await refused(t, ca, held, /held to names/);
	const ended = await make(undefined, { years: [2030, 2042] });
	await refused(t, ended.cert, await make(ended), /ended on/);
});

test("a clock below the floor that finds an ended certificate valid is not believed", async (t) => {
	const { make } = await pki(t);
	// valid by the machine's clock; ended long before the floor
	const authority = await make(undefined, { years: [2020, 2041] });
	const server = await make(authority, { years: [2020, 2041] });
	await refused(t, authority.cert, server, /ended on Jan {1,2}1/);
});

test("a clock that is not below the floor is believed: a certificate of the future is refused", async (t) => {
	const { make, authority } = await pki(t);
	const server = await make(authority);
	const early = /not yet valid/;
	await refused(t, authority.cert, server, early, Date.UTC(2020, 0, 1));
	await refused(t, authority.cert, server, early, 0);
});

test("a clock that is not below the floor leaves constraints on names to OpenSSL", async (t) => {
	t.timeout(120_000);
	const { make } = await pki(t);
	const years: [number, number] = [2020, 2050];
	const named = (net: string) => [
		...AUTHORITY,
		`nameConstraints=critical,permitted;IP:${net}/255.0.0.0`,
	];
	const mine = await make(undefined, { years, extensions: named("127.0.0.0") });
	const { cert, key } = await make(mine, { years });
	const broker = await Broker.start({ port: 0, tls: { cert, key } });
	t.teardown(() => broker.stop());
	const port = Number(new URL(broker.url).port);
	const floor = Date.UTC(2021, 0, 1);
	await dial(t, { ca: mine.cert, port, floor }).start();
	const other = await make(undefined, { years, extensions: named("10.0.0.0") });
	const not = /permitted subtree/;
	await refused(t, other.cert, await make(other, { years }), not, floor);
});

test("without an authority of one's own the clock is believed, wherever it stands", async (t) => {
	t.timeout(120_000);
	const { make, authority } = await pki(t);
	const { cert, key } = await make(authority);
	const { port, counted } = await listener(t, { cert, key });
	const link = new Link({
		...{ url: `mqtts://127.0.0.1:${port}`, clientId: "kitchen" },
		timeFloor: () => FLOOR,
	});
	t.teardown(() => link.stop());
	const started = t.throwsAsync(link.start(), { code: "E_BROKER" });
	while (!link.lastError) await systemClock.sleep(5);
	await link.stop();
	await started;
	t.is(counted.heard, 0);
});
