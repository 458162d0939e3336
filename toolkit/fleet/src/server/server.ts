import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { OutgoingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { asWattvoxError, EXIT, WattvoxError } from "@wattvox/core";
import fastify, { type FastifyInstance, type FastifyRequest } from "fastify";
import type { Collector } from "../collector.ts";
import type { LiveFleet } from "../live/live-fleet.ts";
import type { PowerStore } from "../power/store.ts";
import { powerCsv } from "../power-csv.ts";
import { type PowerTable, powerTable } from "../power-table.ts";
import type { RolloutView } from "../rollout/view.ts";
import { parseSince } from "../span.ts";
import {
	checkPassword,
	LoginLimit,
	type PasswordHash,
	Sessions,
	sameSecret,
} from "./auth.ts";
import { listDevices } from "./devices.ts";
import { LiveStream } from "./live-stream.ts";
import { metricsOf } from "./metrics.ts";
import { overview } from "./overview.ts";
import type { VoiceCosts } from "./voice-costs.ts";

export interface FleetServerOptions {
	store: PowerStore;
	live: LiveFleet;
	collector?: Collector;
	/** What there is of rollouts, the newest first. */
	rollouts?: () => Promise<RolloutView[]>;
	/** What voices cost; asked with the bundles that devices speak with. */
	voices?: (bundles: string[]) => Promise<VoiceCosts[]>;
	password: PasswordHash;
	/** Lets programs in: `Authorization: Bearer TOKEN`. Default: none that anybody knows. */
	token?: string;
	/** Only this fleet is shown. */
	fleet?: string;
	/** Default 127.0.0.1. Any other needs `behindProxy`. */
	host?: string;
	/** Default 8080; 0 takes a free one. */
	port?: number;
	/** A proxy in front speaks TLS and says for whom: its headers are believed, cookies are Secure. */
	behindProxy?: boolean;
	/** Between two live messages, milliseconds. Default 2000. */
	liveMs?: number;
	now?: () => number;
}

const LOOPBACK = new Set(["127.0.0.1", "::1", "localhost"]);
const COOKIE = "wattvox_session";
const WEB = new URL("../../web/", import.meta.url);
const TYPES: Readonly<Record<string, string>> = {
	"index.html": "text/html; charset=utf-8",
	"login.html": "text/html; charset=utf-8",
	"app.js": "text/javascript; charset=utf-8",
	"charts.js": "text/javascript; charset=utf-8",
	"voices.js": "text/javascript; charset=utf-8",
	"dom.js": "text/javascript; charset=utf-8",
	"style.css": "text/css; charset=utf-8",
	"icon.svg": "image/svg+xml",
};
/** What can be had without logging in. */
const OPEN = new Set(["/login", "/style.css", "/icon.svg", "/healthz"]);
const KINDS = ["device", "voice", "class", "fleet", "day", "hour"];

/**
 * The fleet's web server: the dashboard, its data as JSON and CSV, and Prometheus's page.
 *
 * INVARIANTS
 * - Nothing but the login page is served without a session or the token.
 * - It changes nothing of the fleet: there is no request that commands a device.
 * - No page runs a script or loads a style that is not this server's own.
 */
export class FleetServer {
	readonly #o: FleetServerOptions;
	readonly #now: () => number;
	readonly #sessions: Sessions;
	readonly #limit: LoginLimit;
	readonly #stream: LiveStream;
	readonly #token: string;
	#app: FastifyInstance | undefined;

	constructor(options: FleetServerOptions) {
		this.#o = options;
		this.#now = options.now ?? Date.now;
		this.#token = options.token ?? randomBytes(32).toString("hex");
		this.#sessions = new Sessions(undefined, this.#now);
		this.#limit = new LoginLimit(undefined, undefined, this.#now);
		this.#stream = new LiveStream(options.live, options.liveMs ?? 2000);
	}

	/** Where browsers go; only while it runs. */
	get url(): string {
		const address = this.#app?.server.address() as AddressInfo | null;
		const host = this.#o.host ?? "127.0.0.1";
		return `http://${host.includes(":") ? `[${host}]` : host}:${address?.port ?? 0}`;
	}

	/** @throws WattvoxError E_USAGE (open to the network), E_BUSY (port taken) */
	async start(): Promise<void> {
		if (this.#app) return;
		const { host = "127.0.0.1", port = 8080, behindProxy = false } = this.#o;
		if (!LOOPBACK.has(host) && !behindProxy)
			throw new WattvoxError(
				"E_USAGE",
				`a dashboard on ${host} sends its password in the clear: put a proxy that speaks TLS in front and say so`,
			);
		const app = fastify({
			trustProxy: behindProxy,
			bodyLimit: 4096,
			logger: false,
		});
		this.#guard(app);
		await this.#pages(app);
		this.#data(app);
		try {
			await app.listen({ host, port });
		} catch (thrown) {
			await app.close();
			throw new WattvoxError(
				"E_BUSY",
				`no dashboard on ${host}:${port}: ${asWattvoxError(thrown).message}`,
				{ cause: thrown },
			);
		}
		this.#app = app;
		this.#stream.start();
	}

	/** Idempotent. */
	async stop(): Promise<void> {
		const app = this.#app;
		this.#app = undefined;
		this.#stream.stop();
		app?.server.closeAllConnections();
		await app?.close();
	}

	#guard(app: FastifyInstance): void {
		app.addContentTypeParser(
			"application/x-www-form-urlencoded",
			{ parseAs: "string" },
			(_, body, done) =>
				done(null, Object.fromEntries(new URLSearchParams(String(body)))),
		);
		app.addHook("onRequest", async (request, reply) => {
			reply.headers({
				"content-security-policy":
					"default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
				"x-content-type-options": "nosniff",
				"referrer-policy": "no-referrer",
				"cache-control": "no-store",
			});
			// a page elsewhere whose name was made to point here must not read what is here
			if (!this.#o.behindProxy && !LOOPBACK.has(hostName(request)))
				return reply.code(421).send({ error: "unknown host" });
			const site = request.headers["sec-fetch-site"];
			if (
				request.method === "POST" &&
				site !== undefined &&
				site !== "same-origin"
			)
				return reply.code(403).send({ error: "not from this site" });
			const path = request.url.split("?", 1)[0] ?? "";
			if (OPEN.has(path) || this.#allowed(request)) return;
			return path === "/"
				? reply.redirect("/login")
				: reply.code(401).send({ error: "log in first" });
		});
		app.setErrorHandler((thrown, _, reply) => {
			const error = asWattvoxError(thrown);
			const { statusCode } = thrown as { statusCode?: number };
			const ours = thrown instanceof WattvoxError;
			const status =
				ours && error.exit === EXIT.usage ? 400 : (statusCode ?? 500);
			return reply
				.code(status)
				.send({ error: ours || status < 500 ? error.message : "failed" });
		});
	}

	#allowed(request: FastifyRequest): boolean {
		const { authorization = "" } = request.headers;
		if (authorization.startsWith("Bearer "))
			return sameSecret(authorization.slice(7), this.#token);
		return this.#sessions.valid(sessionOf(request));
	}

	async #pages(app: FastifyInstance): Promise<void> {
		const files = new Map<string, Buffer>();
		for (const name of Object.keys(TYPES))
			files.set(name, await readFile(new URL(name, WEB)));
		const login = String(files.get("login.html"));
		files.delete("login.html");
		app.get<{ Querystring: { wrong?: string; wait?: string } }>(
			"/login",
			({ query }, reply) =>
				reply
					.type(TYPES["login.html"] ?? "")
					.send(login.replace(/(class="said"[^>]*>)/, `$1${said(query)}`)),
		);
		for (const [name, bytes] of files) {
			const path = name.replace(/\.html$/, "").replace(/^index$/, "");
			app.get(`/${path}`, (_, reply) =>
				reply.type(TYPES[name] ?? "").send(bytes),
			);
		}
		app.get("/healthz", () => ({ ok: true }));
		app.post("/login", async (request, reply) => {
			const wait = this.#limit.wait(request.ip);
			if (wait > 0)
				return reply
					.header("retry-after", wait)
					.redirect(`/login?wait=${wait}`, 303);
			const { password } = (request.body ?? {}) as { password?: unknown };
			const forgive = this.#limit.tried(request.ip);
			if (
				typeof password !== "string" ||
				!(await checkPassword(password, this.#o.password))
			)
				return reply.redirect("/login?wrong=1", 303);
			forgive();
			return reply
				.header("set-cookie", this.#cookie(this.#sessions.open(), 12 * 3600))
				.redirect("/", 303);
		});
		app.post("/logout", (request, reply) => {
			this.#sessions.close(sessionOf(request));
			return reply
				.header("set-cookie", this.#cookie("", 0))
				.redirect("/login", 303);
		});
	}

	#cookie(value: string, seconds: number): string {
		const secure = this.#o.behindProxy ? "; Secure" : "";
		return `${COOKIE}=${value}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Strict${secure}`;
	}

	#data(app: FastifyInstance): void {
		const { store, live, collector, rollouts, voices, fleet } = this.#o;
		const now = this.#now;
		type Query = { Querystring: Record<string, string | undefined> };
		const table = (query: Query["Querystring"]): Promise<PowerTable> => {
			const { by = "device", since, fleet: asked = fleet } = query;
			if (!KINDS.includes(by))
				throw new WattvoxError("E_USAGE", `by: one of ${KINDS.join(", ")}`);
			return powerTable(store, {
				by: by as PowerTable["by"],
				...(since && { since: parseSince(since, now()) }),
				...(asked && { fleet: asked }),
			});
		};
		app.get<Query>("/api/overview", ({ query }) =>
			overview(store, live, {
				since: parseSince(query.since ?? "7d", now()),
				now: now(),
				...(fleet !== undefined && { fleet }),
			}),
		);
		app.get<Query>("/api/devices", ({ query }) =>
			listDevices(live.devices(), query),
		);
		app.get<Query>("/api/power", ({ query }) => table(query));
		app.get<Query>("/api/power.csv", async ({ query }, reply) =>
			reply
				.type("text/csv; charset=utf-8")
				.header("content-disposition", 'attachment; filename="power.csv"')
				.send(powerCsv(await table(query))),
		);
		app.get<Query>("/api/utterances", ({ query }) => {
			const { since, limit, device, fleet: asked = fleet } = query;
			return store.utterances({
				...(since && { since: parseSince(since, now()) }),
				...(limit && { limit: Number(limit) }),
				...(device && { device }),
				...(asked && { fleet: asked }),
			});
		});
		app.get("/api/rollouts", async () =>
			((await rollouts?.()) ?? []).map((view) => withReasons(view, live)),
		);
		app.get("/api/voices", async () => {
			const spoken = live.devices().flatMap(({ voice }) => voice ?? []);
			return (await voices?.([...new Set(spoken)])) ?? [];
		});
		app.get("/api/live", (request, reply) => {
			reply.hijack();
			this.#stream.add(reply.raw, reply.getHeaders() as OutgoingHttpHeaders);
			request.raw.once("close", () => this.#stream.remove(reply.raw));
		});
		const metrics = metricsOf({
			...{ live, store },
			...(collector && { collector }),
		});
		app.get("/metrics", async (_, reply) =>
			reply.type(metrics.contentType).send(await metrics.text()),
		);
	}
}

/** A rollout whose devices on the way say how far they are. */
function withReasons(view: RolloutView, live: LiveFleet): RolloutView {
	return {
		...view,
		underWay: view.underWay.map(({ device }) => ({
			device,
			why: live.device(view.fleet, device)?.why || "has not answered yet",
		})),
	};
}

/** Why somebody sees the login page again. */
function said({ wrong, wait }: { wrong?: string; wait?: string }): string {
	const seconds = Number(wait);
	if (Number.isInteger(seconds) && seconds > 0 && seconds <= 60)
		return `Too many tries: wait ${seconds} s.`;
	return wrong ? "That is not the password." : "";
}

function hostName({ headers }: FastifyRequest): string {
	return (headers.host ?? "")
		.replace(/:\d+$/, "")
		.replace(/^\[(.*)\]$/, "$1")
		.toLowerCase();
}

function sessionOf({ headers }: FastifyRequest): string | undefined {
	return headers.cookie
		?.split(/; */)
		.find((part) => part.startsWith(`${COOKIE}=`))
		?.slice(COOKIE.length + 1);
}
